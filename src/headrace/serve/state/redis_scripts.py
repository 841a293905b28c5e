"""What Redis does in one step: others see all of it or nothing, and events sent at once count once.

    seen      digests of events' ids               user:DIGEST   time, digest of the event, when it was received, hash, item
    erased    digests of users who were erased     pending       a stream of rows of events, until they are in a file
    moment    when the last events were received, µs             item_rows   the same of items
    arrived   a user's digest and row, the last 100,000          arrivals    the number of the last of them
    followed  how many erasures which folder's files reflect (`redis_erasures`)
    filled    folders whose files are in here      lease, term, files   who writes files (`redis_lease`, `redis_rows`)
    items, changes, changed    what was said of items (`catalogue.redis_items`)
    recent, asked    answers given lately, and whose in which order (`redis_recent`)

A user's rows have one score and are ordered by their bytes, so by time: the newest before a moment are a look-up and a walk back.
A script is run as a whole, and the append-only file holds its writes as one transaction.
"""

_PREFIX = "headrace:"
SEEN, ERASED, PENDING, MOMENT, USER, FILLED, FOLLOWED = (
    _PREFIX + name for name in ("seen", "erased", "pending", "moment", "user:", "filled", "followed")
)
ARRIVED, ARRIVALS = (_PREFIX + name for name in ("arrived", "arrivals"))
LEASE, TERM, FILES = (_PREFIX + name for name in ("lease", "term", "files"))
RECENT, RECENT_ORDER = (_PREFIX + name for name in ("recent", "asked"))
ITEMS, CHANGES, CHANGED, ITEM_ROWS = (_PREFIX + name for name in ("items", "changes", "changed", "item_rows"))

APPEND = """
-- KEYS: seen, erased, pending, moment, prefix of users, arrived, arrivals. ARGV: a floor for the moment received; "1": received
-- now; "1": by the clock here; "1": kept though known; then for each row: digest of user, of event, time, received; hash and item
-- or ""; row or ""
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
local function arrives(row)
  if redis.call("EXISTS", KEYS[7]) == 0 then redis.call("SET", KEYS[7], redis.call("TIME")[1] .. "000000") end
  redis.call("INCR", KEYS[7])
  redis.call("RPUSH", KEYS[6], row)
end
local told = {moment}
for at = 5, #ARGV, 3 do
  local head, tail, row = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local user, name = string.sub(head, 1, 16), string.sub(head, 17, 32)
  local new = 0
  if redis.call("SISMEMBER", KEYS[2], user) == 0 then
    new = redis.call("SADD", KEYS[1], name)
    if (new == 1 or ARGV[4] == "1") and tail ~= "" then
      local member = string.sub(head, 33, 40) .. name .. (received or string.sub(head, 41, 48)) .. tail
      if redis.call("ZADD", KEYS[5] .. user, 0, member) == 1 then arrives(user .. member) end
    end
    if new == 1 and row ~= "" then
      redis.call("XADD", KEYS[3], "*", "user", user, "row", row, "received", moment)
    end
  end
  told[#told + 1] = new
end
redis.call("LTRIM", KEYS[6], -100000, -1)
return told
"""

FORGET = """
-- KEYS: erased, pending, rows of the user, arrived. ARGV: digest of the user
local removed = redis.call("ZCARD", KEYS[3])
redis.call("DEL", KEYS[3])  -- before all that a Redis that is full refuses: what has written may go on
redis.call("SADD", KEYS[1], ARGV[1])
local from = "-"
repeat  -- so many at a time: all that wait may be more than a script should hold
  local entries = redis.call("XRANGE", KEYS[2], from, "+", "COUNT", 1000)
  for _, entry in ipairs(entries) do
    if entry[2][2] == ARGV[1] then redis.call("XDEL", KEYS[2], entry[1]) end
    from = "(" .. entry[1]
  end
until #entries == 0
for at, row in ipairs(redis.call("LRANGE", KEYS[4], 0, -1)) do
  if string.sub(row, 1, 16) == ARGV[1] then redis.call("LSET", KEYS[4], at - 1, "") end
end
return removed
"""

HOLD = """
-- KEYS: lease, term. ARGV: folder, the term that the caller goes on with or "", ms
local now = redis.call("GET", KEYS[1])
if now and string.sub(now, string.find(now, " ") + 1) ~= ARGV[1] then return false end
if now and now == ARGV[2] then
  redis.call("PEXPIRE", KEYS[1], ARGV[3])
  return now
end
local last = string.match(redis.call("GET", KEYS[2]) or "0", "^%d+")
local term = string.format("%.0f ", last + 1) .. ARGV[1]
redis.call("SET", KEYS[2], term)
redis.call("SET", KEYS[1], term, "PX", ARGV[3])
return term
"""

LET_GO = """
-- KEYS: lease. ARGV: term
if redis.call("GET", KEYS[1]) == ARGV[1] then redis.call("DEL", KEYS[1]) end
"""

LEAVE = """
-- KEYS: term, a stream, files, erased. ARGV: term; the first id that stays; the folder's field and its file; how many were erased
-- when the rows were read
if redis.call("GET", KEYS[1]) ~= ARGV[1] or redis.call("SCARD", KEYS[4]) ~= tonumber(ARGV[5]) then return 0 end
redis.call("XTRIM", KEYS[2], "MINID", ARGV[2])
redis.call("HSET", KEYS[3], ARGV[3], ARGV[4])
return 1
"""

CHANGE = """
-- KEYS: items, changes, changed, rows of items. ARGV: how many items; of each its digest and what it is thought to be; then for
-- each change: digest, item, row or ""
local first = 2 * ARGV[1] + 2
for at = 2, first - 1, 2 do
  if (redis.call("HGET", KEYS[1], ARGV[at]) or "") ~= ARGV[at + 1] then return 0 end
end
if redis.call("EXISTS", KEYS[3]) == 0 then
  redis.call("SET", KEYS[3], redis.call("TIME")[1] .. "000000")  -- no number comes again, also after all was lost
end
for at = first, #ARGV, 3 do
  redis.call("HSET", KEYS[1], ARGV[at], ARGV[at + 1])
  redis.call("RPUSH", KEYS[2], ARGV[at])
  redis.call("INCR", KEYS[3])
  if ARGV[at + 2] ~= "" then redis.call("XADD", KEYS[4], "*", "row", ARGV[at + 2]) end
end
redis.call("LTRIM", KEYS[2], -100000, -1)
return 1
"""

SINCE = """
-- KEYS: items, changes, changed. ARGV: the number of the last change that is known. Told: the number now; 1: all have to be
-- read; items
local now = tonumber(redis.call("GET", KEYS[3]) or "0")
local behind = now - ARGV[1]
if behind == 0 then return {ARGV[1], 0} end
local number = string.format("%.0f", now)
if tonumber(ARGV[1]) < 0 or behind < 0 or behind > redis.call("LLEN", KEYS[2]) then
  return {number, 1}
end
local found, before = {}, {}
for _, name in ipairs(redis.call("LRANGE", KEYS[2], -behind, -1)) do
  if not before[name] then found[#found + 1] = redis.call("HGET", KEYS[1], name) end
  before[name] = true
end
return {number, 0, found}
"""

REMEMBER = """
-- KEYS: recent, asked, erased. ARGV: digest of the request, of the user, row, how many are kept
if redis.call("SISMEMBER", KEYS[3], ARGV[2]) == 1 then return 1 end
if redis.call("HSETNX", KEYS[1], ARGV[1], ARGV[3]) == 0 then return 0 end
redis.call("RPUSH", KEYS[2], ARGV[1] .. ARGV[2])
while redis.call("LLEN", KEYS[2]) > tonumber(ARGV[4]) do
  redis.call("HDEL", KEYS[1], string.sub(redis.call("LPOP", KEYS[2]), 1, 16))
end
return 1
"""

FORGET_RECENT = """
-- KEYS: recent, asked, erased
for _, one in ipairs(redis.call("LRANGE", KEYS[2], 0, -1)) do
  if redis.call("SISMEMBER", KEYS[3], string.sub(one, 17)) == 1 then
    redis.call("HDEL", KEYS[1], string.sub(one, 1, 16))
    redis.call("LREM", KEYS[2], 1, one)
  end
end
"""

ARRIVED_SINCE = """
-- KEYS: arrived, arrivals. ARGV: the number of the last that is known. Told: the number now; the rows since, or none: more came
-- than are kept
local now = redis.call("GET", KEYS[2]) or "0"
local behind = now - ARGV[1]
if behind == 0 then return {now, {}} end
if behind < 0 or behind > redis.call("LLEN", KEYS[1]) then return {now} end
return {now, redis.call("LRANGE", KEYS[1], -behind, -1)}
"""
