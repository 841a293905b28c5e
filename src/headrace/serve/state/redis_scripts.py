"""What Redis does in one step: others see all of it or nothing, and events sent at once count once.

    seen      digests of events' ids               user:DIGEST   time, digest of the event, when it was received, hash, item
    erased    digests of users who were erased     pending       a stream of rows, until they are in a file
    moment    when the last events were received, µs
    tables    there once it was filled             writer        which server writes the event log

A user's rows have one score and are ordered by their bytes, so by time: the newest before a moment are a look-up and a walk back.
A script is run as a whole, and the append-only file holds its writes as one transaction.
"""

_PREFIX = "headrace:"
SEEN, ERASED, PENDING, MOMENT, USER, TABLES, WRITER = (
    _PREFIX + name for name in ("seen", "erased", "pending", "moment", "user:", "tables", "writer")
)

APPEND = """
-- KEYS: seen, erased, pending, moment, prefix of users. ARGV: a floor for the moment received; "1": received now; "1": by the
-- clock here; "1": kept though known; then for each row: digest of user, of event, time, received; hash and item or ""; row or ""
local received, moment = nil, ""
if ARGV[2] == "1" then
  local now = math.max(tonumber(ARGV[1]), tonumber(redis.call("GET", KEYS[4]) or "0") + 1)
  if ARGV[3] == "1" then
    local clock = redis.call("TIME")
    now = math.max(now, tonumber(clock[1]) * 1000000 + tonumber(clock[2]))
  end
  moment, received = string.format("%.0f", now), struct.pack(">i8", now)
  redis.call("SET", KEYS[4], moment)
end
local told = {moment}
for at = 5, #ARGV, 3 do
  local head, tail, row = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local user, name = string.sub(head, 1, 16), string.sub(head, 17, 32)
  local new = 0
  if redis.call("SISMEMBER", KEYS[2], user) == 0 then
    new = redis.call("SADD", KEYS[1], name)
    if (new == 1 or ARGV[4] == "1") and tail ~= "" then
      redis.call("ZADD", KEYS[5] .. user, 0, string.sub(head, 33, 40) .. name .. (received or string.sub(head, 41, 48)) .. tail)
    end
    if new == 1 and row ~= "" then
      redis.call("XADD", KEYS[3], "*", "user", user, "row", row, "received", moment)
    end
  end
  told[#told + 1] = new
end
return told
"""

FORGET = """
-- KEYS: erased, pending, rows of the user. ARGV: digest of the user
redis.call("SADD", KEYS[1], ARGV[1])
local removed = redis.call("ZCARD", KEYS[3])
redis.call("DEL", KEYS[3])
for _, entry in ipairs(redis.call("XRANGE", KEYS[2], "-", "+")) do
  if entry[2][2] == ARGV[1] then redis.call("XDEL", KEYS[2], entry[1]) end
end
return removed
"""
