-- One step of the shared rate limits; see rate_limits.py. Atomic, by the server's own clock.
--
-- KEYS[1] hash of what counts per address (weight), KEYS[2] hash of what counts per account (orders),
-- KEYS[3] sorted set of the requests that wait, by when they are forgotten.
-- ARGV[1] msgpack, see RateLimitStep in rate_limits.py.
-- Answer: granted, wait ms, now ms, held weight, held orders, born of both hashes, ms of block and ban, ticket, then for
-- each rule the number of its present window and what was used of it.
--
-- The venue counts in fixed windows of its own clock, which may differ from ours by `guard` ms, the way there included.
-- So a request counts in every window that [now - guard, now + guard] touches, and what is held ahead until `hold` ms
-- from now in every window that [now - guard, now + hold + guard] touches. Priority 0 is only refused by the window
-- that is present by our clock: it never waits longer than the venue itself demands.
local SLOTS = 4
local MOST_WAITING = 256
local POLL_MS = 25
local KEEP_MS = 345600000 -- longer than the longest window and the longest ban

local q = cmsgpack.unpack(ARGV[1])
local now, micros = q.now, 0
if now == 0 then
  local t = redis.call('TIME')
  now = t[1] * 1000 + math.floor(t[2] / 1000)
  micros = t[2] % 1000
end
local urgent = q.priority == 0

local function number_of(key, field)
  return tonumber(redis.call('HGET', key, field) or '') or 0
end

local born = {}
for dim = 1, 2 do
  born[dim] = number_of(KEYS[dim], 'born')
  if born[dim] == 0 then
    born[dim] = now
    redis.call('HSET', KEYS[dim], 'born', string.format('%.0f', now))
  end
end

-- used: granted or counted by the venue, whichever is more; seen: what the venue said, 0 when it did not yet.
local function read(rule, index)
  local text = redis.call('HGET', KEYS[rule.dim], rule.name .. ':' .. index % SLOTS) or ''
  local at, used, seen = string.match(text, '^(%d+) (%d+) (%d+)$')
  if tonumber(at) == index then return tonumber(used), tonumber(seen) end
  return 0, 0
end

local function write(rule, index, used, seen)
  local text = string.format('%.0f %.0f %.0f', index, used, seen)
  redis.call('HSET', KEYS[rule.dim], rule.name .. ':' .. index % SLOTS, text)
end

local function first(rule, from) return math.floor((from - q.guard) / rule.interval) end
local function last(rule, to) return math.floor((to + q.guard) / rule.interval) end

local function charge(rule, amount, from, to)
  for index = first(rule, from), last(rule, to) do
    local used, seen = read(rule, index)
    write(rule, index, used + amount, seen)
  end
end

-- A window that began before this state was born may have been used by someone we no longer know of.
local function allowed(rule, index, seen)
  if urgent then return rule.limit end
  if seen == 0 and index * rule.interval < born[rule.dim] then
    return math.floor(rule.allowed * q.doubt / 1000)
  end
  return rule.allowed
end

-- What is learnt: own grants made while we could not be asked, what a caller knows to be used, the venue's own counts.
for _, rule in ipairs(q.rules) do
  if rule.added > 0 then charge(rule, rule.added, now, now) end
  -- Only a state that is not the one it was learnt from: there, what was held and given back would count again.
  if rule.known > 0 and rule.born ~= born[rule.dim] then
    local used, seen = read(rule, rule.window)
    if rule.known > used and rule.window >= math.floor(now / rule.interval) - 1 then
      write(rule, rule.window, rule.known, seen)
    end
  end
end
for _, one in ipairs(q.seen) do
  local rule = q.rules[one.rule]
  local index = math.floor((now - one.sent - q.guard) / rule.interval)
  if index == math.floor((now - one.heard + q.guard) / rule.interval) then
    local used, seen = read(rule, index)
    write(rule, index, math.max(used, one.used), math.max(seen, one.used))
  end
end

-- What was held ahead and not spent comes back, unless the state that it was taken from is gone.
for _, lease in ipairs(q.back) do
  for _, rule in ipairs(q.rules) do
    local amount = lease.amounts[rule.dim]
    if amount > 0 and lease.born[rule.dim] == born[rule.dim] then
      for index = first(rule, lease.begin), last(rule, lease.finish) do
        local used, seen = read(rule, index)
        if used > 0 then write(rule, index, math.max(used - amount, seen, 0), seen) end
      end
    end
  end
end

-- 0 when the need fits now; else for how long it does not, in ms. `ahead` is what others may take first.
local function wait_for(rule, need, ahead)
  local from, to, margin = first(rule, now), last(rule, now), q.guard
  if urgent then
    from = math.floor(now / rule.interval)
    to, margin = from, 0
  end
  local wait = 0
  for index = from, to do
    local used, seen = read(rule, index)
    local most = allowed(rule, index, seen)
    if used + need > most then
      wait = math.max(wait, (index + 1) * rule.interval + margin - now)
    elseif used + need + ahead > most then
      wait = math.max(wait, POLL_MS)
    end
  end
  return wait
end

-- How much may be held ahead: at most a quarter of what is left, so that others find some too.
local function room(rule, to)
  local least = math.huge
  for index = first(rule, now), last(rule, to) do
    local used, seen = read(rule, index)
    least = math.min(least, allowed(rule, index, seen) - used)
  end
  return math.max(math.floor(least / 4), 0)
end

local ahead, others = {0, 0}, 0
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
for _, member in ipairs(redis.call('ZRANGE', KEYS[3], 0, MOST_WAITING - 1)) do
  local priority, ticket, weight, orders = string.match(member, '^(%d):(%d+%-%x+):(%d+):(%d+)$')
  if not priority then
    redis.call('ZREM', KEYS[3], member)
  elseif ticket == q.ticket then
    redis.call('ZREM', KEYS[3], member)
  else
    others = others + 1
    priority = tonumber(priority)
    if not urgent and (priority < q.priority or (priority == q.priority and (q.ticket == '' or ticket < q.ticket))) then
      ahead[1] = ahead[1] + tonumber(weight)
      ahead[2] = ahead[2] + tonumber(orders)
    end
  end
end

local function held_back(field, told)
  local left = math.max(number_of(KEYS[1], field) - now, 0)
  if told > left then
    left = told
    redis.call('HSET', KEYS[1], field, string.format('%.0f', now + told))
  end
  return left
end
local block, ban = held_back('block', q.block), held_back('ban', q.ban)
local wait = urgent and ban or math.max(ban, block)
for _, rule in ipairs(q.rules) do
  local need = q.need[rule.dim]
  if need > 0 then wait = math.max(wait, wait_for(rule, need, ahead[rule.dim])) end
end

local granted, held, ticket = 0, {0, 0}, q.ticket
if wait == 0 then
  granted = 1
  for _, rule in ipairs(q.rules) do
    if q.need[rule.dim] > 0 then charge(rule, q.need[rule.dim], now, now) end
  end
  if q.hold > 0 and others == 0 then
    for dim = 1, 2 do
      held[dim] = q.want[dim]
      for _, rule in ipairs(q.rules) do
        if rule.dim == dim then held[dim] = math.min(held[dim], room(rule, now + q.hold)) end
      end
    end
    for _, rule in ipairs(q.rules) do
      if held[rule.dim] > 0 then charge(rule, held[rule.dim], now, now + q.hold) end
    end
  end
elseif wait <= q.patience and others < MOST_WAITING then
  if ticket == '' then ticket = string.format('%.0f-%s', now * 1000 + micros, q.name) end
  local member = string.format('%d:%s:%d:%d', q.priority, ticket, q.need[1], q.need[2])
  -- A poll later than it said it would come back, it is taken for gone.
  redis.call('ZADD', KEYS[3], now + wait + q.lateness, member)
  redis.call('PEXPIRE', KEYS[3], KEEP_MS)
end

local answer = {granted, math.ceil(wait), now, held[1], held[2], born[1], born[2], block, ban, ticket}
for _, rule in ipairs(q.rules) do
  local index = math.floor(now / rule.interval)
  answer[#answer + 1] = index
  answer[#answer + 1] = (read(rule, index))
end
for dim = 1, 2 do redis.call('PEXPIRE', KEYS[dim], KEEP_MS) end
return answer
