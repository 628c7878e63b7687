-- Sends the requests of one case, and prints what came of them as a line of JSON.
--
--   wrk … URL -- METHOD PATHS THREADS [BODY]
--
-- PATHS is a file with one path a line: they are asked for in turn. A BODY with "{n}" in it gets a number there that no
-- other request of the run gets: THREADS is what wrk's -t says.

local threads = 0

function setup(thread)
    thread:set("thread_number", threads)
    threads = threads + 1
end

function init(arguments)
    local method, file, step, body = arguments[1], arguments[2], tonumber(arguments[3]), arguments[4]
    local paths = {}
    for path in io.lines(file) do
        paths[#paths + 1] = path
    end
    local headers = body and { ["Content-Type"] = "application/json" } or {}
    for name, value in pairs(wrk.headers) do
        headers[name] = value
    end
    local numbered = body and body:find("{n}", 1, true)
    local made = {}
    if not numbered then
        for index, path in ipairs(paths) do
            made[index] = wrk.format(method, path, headers, body)
        end
    end
    local number = thread_number - step
    -- Each thread takes the numbers that leave its own remainder, so that no two send the same one.
    request = function()
        number = number + step
        local index = number % #paths + 1
        return made[index] or wrk.format(method, paths[index], headers, (body:gsub("{n}", number)))
    end
end

function done(summary, latency)
    local errors = summary.errors
    local failed = errors.connect + errors.read + errors.write + errors.timeout + errors.status
    io.write(string.format(
        'result {"requests": %d, "seconds": %f, "bytes": %d, "failed": %d, "p50_us": %d, "p99_us": %d}\n',
        summary.requests, summary.duration / 1e6, summary.bytes, failed,
        summary.requests > 0 and latency:percentile(50) or 0, summary.requests > 0 and latency:percentile(99) or 0
    ))
end
