-- wrk: every request is another user's, in a circle; one JSON line with the result at the end.
-- The requests are put together before the start; no response() here, which would make wrk build a table per answer.
-- Arguments: target, file of tokens, milliseconds that a connection rests between an answer and its next request.
local requests, at = {}, 0

function init(args)
  local rest = tonumber(args[3])
  if rest > 0 then
    function delay() return rest end
  end
  for token in io.lines(args[2]) do
    requests[#requests + 1] = wrk.format("GET", args[1], { authorization = "Bearer " .. token })
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local errors = summary.errors
  io.stderr:write(string.format(
    '{"requests": %d, "seconds": %f, "p50_us": %d, "not_2xx": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
