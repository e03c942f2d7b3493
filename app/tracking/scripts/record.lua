-- Records one batch: once, whatever happens to the reply.
-- KEYS: epoch, sequence, stream, guard of this batch; then those that the plan names by their places.
-- ARGV: epoch to set where there is none; the hits, as `app.tracking.hits.pack` made them; seconds to remember the
--       batch, a client's event id, a visitor; the packed plan: {place of a target's campaign, whose hours follow, and
--       of its participant, …}, {a target from 0, day, place of the day's visitors, …}, {for each hit the place of its
--       client's event id, or 0}.
-- Returns the packed places (from 0) of the hits that were recorded before, or an empty string.
local done = redis.call('GET', KEYS[4])
if done then
  return done
end
redis.call('SET', KEYS[1], ARGV[1], 'NX')

local HOUR, DAY, CHINA = 3600000000, 86400000000, 28800000000
local COUNTER = {
  click = 'clicks', scan = 'scans', view = 'views', share = 'shares', bot = 'bot_hits', late = 'late_hits',
}
local floor = math.floor
local hits, plan = cmsgpack.unpack(ARGV[2])[2], cmsgpack.unpack(ARGV[6])
local targets, visits, seen = plan[1], plan[2], plan[3]

local days = {}
for i = 1, #visits, 3 do
  local of_target = days[visits[i]] or {}
  days[visits[i]] = of_target
  of_target[visits[i + 1]] = {key = KEYS[visits[i + 2]], visitors = {}}
end

-- By the place of the key.
local repeats, firsts, sums = {}, {}, {}
local function count(key, field, number)
  local fields = sums[key]
  if not fields then
    fields = {}
    sums[key] = fields
  end
  fields[field] = (fields[field] or 0) + number
end

for place, hit in ipairs(hits) do
  if seen[place] > 0 and not redis.call('SET', KEYS[seen[place]], '1', 'NX', 'EX', ARGV[4]) then
    repeats[#repeats + 1] = place - 1
  else
    if seen[place] > 0 then
      firsts[#firsts + 1] = KEYS[seen[place]]
    end
    local campaign, participant = targets[2 * hit[2] + 1], targets[2 * hit[2] + 2]
    local human = hit[4] == 'human'
    local counter = COUNTER[human and hit[3] or hit[4]]
    count(campaign, counter, 1)
    count(participant, counter, 1)
    count(campaign + 1, floor(hit[6] / HOUR) .. '|' .. hit[5] .. '|' .. counter, 1)
    if human and hit[8] and (hit[3] == 'click' or hit[3] == 'scan') then
      local visitors = days[hit[2]][floor((hit[6] + CHINA) / DAY)].visitors
      visitors[#visitors + 1] = hit[8]
    end
  end
end

-- Scripts are not rolled back. What is told to have come before must be in the stream: without it, whoever sends it again
-- to a Redis that refused it would be told that it is there.
local function fail(fault)
  for _, key in ipairs(firsts) do
    redis.call('DEL', key)
  end
  return fault
end

-- Before the counters: they can be set right from what the stream has, whatever they fail at.
local reply = ''
if #repeats > 0 then
  reply = cmsgpack.pack(repeats)
end
if #repeats < #hits then
  local number = redis.pcall('INCR', KEYS[2])
  if type(number) == 'table' then
    return fail(number)
  end
  local entry = redis.pcall('XADD', KEYS[3], '*', 'n', number, 'b', ARGV[2], 'x', reply)
  if type(entry) == 'table' then
    redis.call('DECR', KEYS[2])
    return fail(entry)
  end
end

for target, of_target in pairs(days) do
  for _, day in pairs(of_target) do
    local new = #day.visitors > 0 and redis.call('SADD', day.key, unpack(day.visitors)) or 0
    if new > 0 then
      count(targets[2 * target + 1], 'unique_visitors', new)
      count(targets[2 * target + 2], 'unique_visitors', new)
      -- Once: each EXPIRE is one more line of the append-only file.
      if redis.call('SCARD', day.key) == new then
        redis.call('EXPIRE', day.key, ARGV[5])
      end
    end
  end
end
for key, fields in pairs(sums) do
  for field, number in pairs(fields) do
    redis.call('HINCRBY', KEYS[key], field, number)
  end
end
redis.call('SET', KEYS[4], reply, 'EX', ARGV[3])
return reply
