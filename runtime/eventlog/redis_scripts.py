"""The event log's steps inside Redis or Valkey: each is one script, so nobody sees half of it.

KEYS[1] is the topic's key, a hash of `partitions` and `since` (when it was created, in ms). Beside it:

<topic>:<partition>                  stream; ids are <since>-<n> with n = 0, 1, 2, ... without gaps
<topic>:groups                       set of groups
<topic>:at:<group>                   hash, partition -> id of the last committed entry, 0-0 before the first
<topic>:members:<group>              sorted set, member -> until when it counts, in ms
<topic>:lease:<group>:<partition>    token of the holder, expiring

Ids of our own rather than the server's clock: a number of entries is a difference, a gap shows that something was trimmed,
and a topic that was lost and made anew has another `since`, so an old position cannot pass for one of the new topic.
"""

_PRELUDE = """
local topic = KEYS[1]

local function digits(number) return string.format('%.0f', number) end

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function split(id)
  local since, number = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(since), tonumber(number)
end

local function less(a, b)
  local a_since, a_number = split(a)
  local b_since, b_number = split(b)
  return a_since < b_since or (a_since == b_since and a_number < b_number)
end

local function before(since, number)
  if number == 0 then return '0-0' end
  return digits(since) .. '-' .. digits(number - 1)
end

local function stream(partition) return topic .. ':' .. digits(partition) end

local function positions(group) return topic .. ':at:' .. group end

local function lease(group, partition) return topic .. ':lease:' .. group .. ':' .. digits(partition) end

-- A token is <member>/<something new>.
local function is_of(member, token) return token and string.sub(token, 1, #member + 1) == member .. '/' end

local function partitions()
  local count = redis.call('HGET', topic, 'partitions')
  return count and tonumber(count)
end

local function knows(group) return redis.call('SISMEMBER', topic .. ':groups', group) == 1 end

local function extent(partition)
  local key = stream(partition)
  if redis.call('EXISTS', key) == 0 then return '0-0', 0 end
  local info = redis.call('XINFO', 'STREAM', key)
  local last
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then last = info[i + 1] end
  end
  return last, redis.call('XLEN', key)
end

local function position(group, partition)
  return redis.call('HGET', positions(group), digits(partition)) or '0-0'
end

local function behind(partition, id)
  local last, length = extent(partition)
  local last_since, last_number = split(last)
  local since, number = split(id)
  if since ~= last_since then return length end
  return math.max(0, math.min(last_number - number, length))
end

-- The id before the first entry of that moment or later.
local function until_moment(partition, moment)
  local last, length = extent(partition)
  if length == 0 then return last end
  local since, high = split(last)
  local low, first = high - length + 1, high + 1
  while low <= high do
    local middle = math.floor((low + high) / 2)
    local id = digits(since) .. '-' .. digits(middle)
    local found = redis.call('XRANGE', stream(partition), id, id)
    if tonumber(found[1][2][2]) >= moment then
      first, high = middle, middle - 1
    else
      low = middle + 1
    end
  end
  return before(since, first)
end
"""

CREATE = (
    _PRELUDE
    + """
if redis.call('EXISTS', topic) == 0 then
  redis.call('HSET', topic, 'partitions', ARGV[1], 'since', digits(clock()))
end
return partitions()
"""
)

# ARGV: partitions, then of each entry: partition, number of words, words (names and values by turns).
APPEND = (
    _PRELUDE
    + """
local count, since = unpack(redis.call('HMGET', topic, 'partitions', 'since'))
if not count then return false end
if count ~= ARGV[1] then return tonumber(count) end
local now, ids, at = digits(clock()), {}, 2
while at < #ARGV do
  local last = at + 1 + ARGV[at + 1]
  ids[#ids + 1] = redis.call('XADD', stream(ARGV[at]), since .. '-*', 't', now, unpack(ARGV, at + 2, last))
  at = last + 1
end
return ids
"""
)

# ARGV: group, member, new token, lease in ms, where a new group begins. Answers: share, then partition, token, position, ...
TEND = (
    _PRELUDE
    + """
local group, member, token, length, start = unpack(ARGV)
local count, now = partitions(), clock()
if not count then return false end
if redis.call('SADD', topic .. ':groups', group) == 1 then
  for p = 0, count - 1 do
    redis.call('HSET', positions(group), digits(p), start == 'end' and extent(p) or '0-0')
  end
end
local members = topic .. ':members:' .. group
redis.call('ZADD', members, digits(now + length), member)
redis.call('ZREMRANGEBYSCORE', members, '-inf', digits(now))
local share = math.ceil(count / redis.call('ZCARD', members))

local mine, free = {}, {}
for p = 0, count - 1 do
  local holder = redis.call('GET', lease(group, p))
  if not holder then
    free[#free + 1] = p
  elseif is_of(member, holder) then
    redis.call('PEXPIRE', lease(group, p), length)
    mine[#mine + 1] = {p, holder}
  end
end
for _, p in ipairs(free) do
  if #mine < share then
    redis.call('SET', lease(group, p), token, 'PX', length)
    mine[#mine + 1] = {p, token}
  end
end
local answer = {share}
for _, held in ipairs(mine) do
  answer[#answer + 1] = held[1]
  answer[#answer + 1] = held[2]
  answer[#answer + 1] = position(group, held[1])
end
return answer
"""
)

# ARGV: group, then of each partition given back: partition, token.
RELEASE = (
    _PRELUDE
    + """
local group = ARGV[1]
for i = 2, #ARGV, 2 do
  local key = lease(group, ARGV[i])
  if redis.call('GET', key) == ARGV[i + 1] then redis.call('DEL', key) end
end
return 1
"""
)

# ARGV: group, member. Also gives back what the member took without hearing of it.
LEAVE = (
    _PRELUDE
    + """
local group, member, count = ARGV[1], ARGV[2], partitions()
if not count then return false end
redis.call('ZREM', topic .. ':members:' .. group, member)
for p = 0, count - 1 do
  local holder = redis.call('GET', lease(group, p))
  if is_of(member, holder) then redis.call('DEL', lease(group, p)) end
end
return 1
"""
)

# ARGV: group, then of each partition: partition, token, id. Answers the partitions that are not the caller's.
COMMIT = (
    _PRELUDE
    + """
local group, fenced = ARGV[1], {}
for i = 2, #ARGV, 3 do
  local partition = ARGV[i]
  if redis.call('GET', lease(group, partition)) ~= ARGV[i + 1] then
    fenced[#fenced + 1] = tonumber(partition)
  elseif less(position(group, partition), ARGV[i + 2]) then
    redis.call('HSET', positions(group), partition, ARGV[i + 2])
  end
end
return fenced
"""
)

END = (
    _PRELUDE
    + """
local count, ends = partitions(), {}
if not count then return false end
for p = 0, count - 1 do ends[p + 1] = extent(p) end
return ends
"""
)

# ARGV: group.
LAG = (
    _PRELUDE
    + """
local count, lags = partitions(), {}
if not count then return false end
if not knows(ARGV[1]) then return 0 end
for p = 0, count - 1 do lags[p + 1] = behind(p, position(ARGV[1], p)) end
return lags
"""
)

# ARGV: group, then 'start', 'end', 'moment' and ms, or 'positions' and of each: partition, id.
SEEK = (
    _PRELUDE
    + """
local group, kind, count = ARGV[1], ARGV[2], partitions()
if not count then return false end
if not knows(group) then return 0 end
local wanted = {}
for p = 0, count - 1 do
  if kind == 'start' then wanted[p] = '0-0' end
  if kind == 'end' then wanted[p] = extent(p) end
  if kind == 'moment' then wanted[p] = until_moment(p, tonumber(ARGV[3])) end
end
if kind == 'positions' then
  for i = 3, #ARGV, 2 do
    local last = extent(ARGV[i])
    wanted[tonumber(ARGV[i])] = less(last, ARGV[i + 1]) and last or ARGV[i + 1]
  end
end
for p, id in pairs(wanted) do
  redis.call('HSET', positions(group), digits(p), id)
  redis.call('DEL', lease(group, p))
end
return 1
"""
)

# ARGV: group.
FORGET = (
    _PRELUDE
    + """
local group, count = ARGV[1], partitions()
if not count then return false end
if not knows(group) then return 0 end
local members = topic .. ':members:' .. group
redis.call('ZREMRANGEBYSCORE', members, '-inf', digits(clock()))
if redis.call('ZCARD', members) > 0 then return 2 end
redis.call('SREM', topic .. ':groups', group)
redis.call('DEL', members, positions(group))
for p = 0, count - 1 do redis.call('DEL', lease(group, p)) end
return 1
"""
)

# ARGV: ms to keep, most entries of a partition at once, '1' if the topic has no groups. Answers how many were removed.
TRIM = (
    _PRELUDE
    + """
local count, removed = partitions(), 0
if not count then return false end
local groups = redis.call('SMEMBERS', topic .. ':groups')
if #groups == 0 and ARGV[3] ~= '1' then return 0 end
local moment = clock() - ARGV[1]
for p = 0, count - 1 do
  local floor = until_moment(p, moment)
  for _, group in ipairs(groups) do
    local committed = position(group, p)
    if less(committed, floor) then floor = committed end
  end
  if floor ~= '0-0' then
    local last, length = extent(p)
    local since, number = split(floor)
    local _, newest = split(last)
    number = math.min(number, newest - length + tonumber(ARGV[2]))
    removed = removed + redis.call('XTRIM', stream(p), 'MINID', '=', digits(since) .. '-' .. digits(number + 1))
  end
end
return removed
"""
)

# Answers entries, unconsumed, age in ms of the oldest unconsumed or -1.
BACKLOG = (
    _PRELUDE
    + """
local count, now = partitions(), clock()
if not count then return false end
local groups = redis.call('SMEMBERS', topic .. ':groups')
local entries, unconsumed, oldest = 0, 0, -1
for p = 0, count - 1 do
  local last, length = extent(p)
  entries = entries + length
  local slowest = last
  for _, group in ipairs(groups) do
    local committed = position(group, p)
    if less(committed, slowest) then slowest = committed end
  end
  unconsumed = unconsumed + behind(p, slowest)
  local next = redis.call('XRANGE', stream(p), '(' .. slowest, '+', 'COUNT', 1)
  if next[1] then oldest = math.max(oldest, now - next[1][2][2]) end
end
return {entries, unconsumed, oldest}
"""
)
