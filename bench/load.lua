-- For wrk: `wrk ... -s load.lua URL` reads, `wrk ... -s load.lua URL -- TAG` registers users whose addresses
-- contain TAG. At the end it prints one line of JSON.
local tag, number = nil, 0

local function register()
  number = number + 1
  local body = string.format('{"name":"Load Test","email":"u%d.%s@example.com"}', number, tag)
  return wrk.format("POST", nil, {["Content-Type"] = "application/json"}, body)
end

function init(args)
  tag = args[1]
  if tag then request = register end
end

function done(summary, latency, requests)
  local errors = summary.errors
  print(string.format(
    '{"requests": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "errors": %d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
