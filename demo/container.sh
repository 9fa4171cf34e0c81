#!/bin/sh
# container.sh NAME UID [SOURCE:TARGET]... -- COMMAND...
#
# Does by hand what a container runtime does: runs COMMAND as user UID with the host name NAME, in the file system
# /run/root, read-only except for the folders SOURCE that are mounted at TARGET. It runs in its own mount, UTS and PID
# namespaces (see container.py). So its mounts are invisible outside, and all its processes end with the first one.
set -eu
name=$1 uid=$2
shift 2
echo "$name" >/proc/sys/kernel/hostname
scratch=$(mktemp -d /run/container.XXXXXX)
mount -t tmpfs tmpfs "$scratch"
cd "$scratch"
mkdir upper work root
mount -t overlay overlay -o "lowerdir=/run/root,upperdir=$scratch/upper,workdir=$scratch/work" root
cd root
mount -t proc proc proc
mount --rbind /dev dev
# What the image contains: the user mysql, its configuration, and the folders that volumes are mounted at.
{ echo "mysql:x:$uid:$uid::/var/lib/mysql:/bin/false"; grep -v '^mysql:' /run/root/etc/passwd; } >etc/passwd
rm -rf etc/mysql var/lib/mysql-files
mkdir -p var/lib/mysql-files && chmod 750 var/lib/mysql-files && chown "$uid" var/lib/mysql-files
cat >etc/my.cnf <<CNF
[mysqld]
host-cache-size = 0
skip-name-resolve
datadir = /var/lib/mysql
socket = /var/run/mysqld/mysqld.sock
pid-file = /var/run/mysqld/mysqld.pid
secure-file-priv = /var/lib/mysql-files
[client]
socket = /var/run/mysqld/mysqld.sock
!includedir /etc/mysql/conf.d/
CNF
# The names are served by DNS, see names.py.
rm -f etc/resolv.conf etc/nsswitch.conf
cp /etc/resolv.conf /etc/nsswitch.conf etc/
while [ "$1" != -- ]; do
  chroot . mkdir -p "${1#*:}"
  mount --rbind "${1%%:*}" ".$(chroot . realpath "${1#*:}")"
  shift
done
shift
mount -o remount,bind,ro "$PWD"
exec chroot . setpriv --reuid "$uid" --regid "$uid" --clear-groups --no-new-privs "$@"
