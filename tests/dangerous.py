"""What an account could do harm with, statement by statement, and what each account may do all the same."""

# Each is checked before it is executed, so a refused one has changed nothing. Those that change the session come last.
STATEMENTS = """
RESET BINARY LOGS AND GTIDS
RESET REPLICA ALL
STOP REPLICA
START REPLICA
CHANGE REPLICATION SOURCE TO SOURCE_HOST = 'elsewhere'
CHANGE REPLICATION FILTER REPLICATE_IGNORE_DB = (userdb)
PURGE BINARY LOGS BEFORE NOW()
SET GLOBAL gtid_purged = ''
SHOW BINARY LOGS
SHOW BINLOG EVENTS
SHOW REPLICA STATUS
SHOW REPLICAS
FLUSH TABLES WITH READ LOCK
FLUSH TABLES userdb.users WITH READ LOCK
FLUSH TABLES
FLUSH STATUS
FLUSH PRIVILEGES
FLUSH BINARY LOGS
FLUSH USER_RESOURCES
LOCK TABLES userdb.users READ
LOCK TABLES userdb.users WRITE
SELECT * FROM userdb.users FOR UPDATE
SET GLOBAL read_only = ON
SET GLOBAL super_read_only = OFF
SET GLOBAL offline_mode = ON
SET GLOBAL rpl_semi_sync_source_enabled = OFF
SET PERSIST max_connections = 1
SHUTDOWN
RESTART
KILL 1
CREATE USER other
ALTER USER root@localhost IDENTIFIED BY 'other-password'
ALTER USER 'appuser'@'%' ACCOUNT LOCK
DROP USER 'appuser'@'%'
RENAME USER 'appuser'@'%' TO other
SET PASSWORD FOR root@localhost = 'other-password'
GRANT ALL ON *.* TO 'appuser'@'%'
GRANT SELECT ON userdb.users TO 'readuser'@'%'
REVOKE SELECT ON userdb.* FROM 'readuser'@'%'
CREATE ROLE other
CREATE DATABASE other
CREATE DATABASE userdb_restore
CREATE DATABASE userdbXrestore
ALTER DATABASE userdb CHARACTER SET latin1
DROP DATABASE userdb
CREATE TABLE userdb.other (id INT PRIMARY KEY)
CREATE TEMPORARY TABLE userdb.other (id INT PRIMARY KEY)
CREATE INDEX other ON userdb.users (name)
CREATE VIEW userdb.other AS SELECT 1
CREATE TRIGGER userdb.other BEFORE INSERT ON userdb.users FOR EACH ROW SET NEW.name = ''
CREATE PROCEDURE userdb.other() DO 0
CREATE FUNCTION userdb.other() RETURNS INT DETERMINISTIC RETURN 0
CREATE EVENT userdb.other ON SCHEDULE EVERY 1 DAY DO DELETE FROM userdb.users
ALTER TABLE userdb.users AUTO_INCREMENT = 1000000
RENAME TABLE userdb.users TO userdb.other
TRUNCATE TABLE userdb.users
DROP TABLE userdb.users
OPTIMIZE TABLE userdb.users
SELECT * FROM userdb.users
INSERT INTO userdb.users (name, email) SELECT name, email FROM userdb.users WHERE FALSE
REPLACE INTO userdb.users (name, email) SELECT name, email FROM userdb.users WHERE FALSE
UPDATE userdb.users SET name = 'other'
DELETE FROM userdb.users
LOAD DATA INFILE '/etc/passwd' INTO TABLE userdb.users
SELECT * FROM userdb.users INTO OUTFILE '/tmp/users'
SELECT 1 INTO OUTFILE '/tmp/one'
SELECT * FROM mysql.user
UPDATE mysql.user SET account_locked = 'Y'
SELECT * FROM performance_schema.events_statements_history
SELECT * FROM performance_schema.threads
SELECT * FROM performance_schema.replication_connection_status
SELECT * FROM performance_schema.replication_applier_status
INSTALL PLUGIN other SONAME 'semisync_source.so'
INSTALL COMPONENT 'file://component_validate_password'
UNINSTALL PLUGIN clone
CREATE FUNCTION other RETURNS INT SONAME 'other.so'
CREATE SERVER other FOREIGN DATA WRAPPER mysql OPTIONS (HOST 'elsewhere')
CREATE TABLESPACE other ADD DATAFILE 'other.ibd'
CREATE RESOURCE GROUP other TYPE = USER
ALTER INSTANCE ROTATE INNODB MASTER KEY
ALTER INSTANCE DISABLE INNODB REDO_LOG
ALTER INSTANCE RELOAD TLS
CLONE LOCAL DATA DIRECTORY = '/tmp/clone'
XA RECOVER CONVERT XID
BINLOG ''
SET SESSION binlog_format = 'STATEMENT'
LOCK INSTANCE FOR BACKUP
SET sql_log_bin = OFF
SET gtid_next = '3e11fa47-71ca-11e1-9e33-c80aa9429562:1'
""".strip().splitlines()

# What an account needs, and what comes with that.
ALLOWED = {
    "appuser": {
        "SELECT * FROM userdb.users",
        "INSERT INTO userdb.users (name, email) SELECT name, email FROM userdb.users WHERE FALSE",
        "OPTIMIZE TABLE userdb.users",  # MySQL asks for SELECT and INSERT only
    },
    "readuser": {"SELECT * FROM userdb.users", "SHOW BINARY LOGS", "SHOW REPLICA STATUS"},  # REPLICATION CLIENT
    "replicator": {
        *["SHOW BINARY LOGS", "SHOW BINLOG EVENTS", "SHOW REPLICA STATUS", "SHOW REPLICAS"],
        # What one MySQL pod asks another.
        "SELECT * FROM performance_schema.replication_connection_status",
        "SELECT * FROM performance_schema.replication_applier_status",
        *["LOCK INSTANCE FOR BACKUP", "CLONE LOCAL DATA DIRECTORY = '/tmp/clone'"],  # BACKUP_ADMIN, for CLONE
        *["SET SESSION binlog_format = 'STATEMENT'", "SET sql_log_bin = OFF"],  # SESSION_VARIABLES_ADMIN, for:
        "SET gtid_next = '3e11fa47-71ca-11e1-9e33-c80aa9429562:1'",
    },
    "backup": set(),
}

# "Access denied" for a database, a table, a file, a user, a privilege or a routine; 1094: there is no such thread that
# the account may see; 1401: no right to see prepared transactions; 1419: no right to make a function.
DENIED = {1044, 1045, 1142, 1227, 1370, 1410, 1094, 1401, 1419}
