-- The last line of wrk's output, for load.rs. Times are microseconds.
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    "FIGURES requests=%d duration=%d p50=%d p99=%d max=%d connect=%d read=%d write=%d status=%d timeout=%d\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
