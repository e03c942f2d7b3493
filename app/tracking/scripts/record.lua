-- Records one batch: once, whatever happens to the reply.
-- KEYS: epoch, sequence, stream, guard of this batch; for each target its campaign, participant and hours; then those
--       that the plan names by their places.
-- ARGV: epoch to set where there is none; the hits, as `app.tracking.hits.pack` made them; seconds to remember the
--       batch, a client's event id, a visitor; the packed plan: {target's place from 0, day, place of the day's
--       visitors, …}, {for each hit the place of its event id's key or 0} or nothing.
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
local days, seen = {}, plan[2]
for i = 1, #plan[1], 3 do
  local visits = days[plan[1][i]]
  if not visits then
    visits = {}
    days[plan[1][i]] = visits
  end
  visits[plan[1][i + 1]] = {key = KEYS[plan[1][i + 2]], visitors = {}}
end

local repeats, sums = {}, {}
local function count(key, field)
  local fields = sums[key]
  if not fields then
    fields = {}
    sums[key] = fields
  end
  fields[field] = (fields[field] or 0) + 1
end

for place, hit in ipairs(hits) do
  local id_key = seen[place] or 0
  if id_key > 0 and not redis.call('SET', KEYS[id_key], '1', 'NX', 'EX', ARGV[4]) then
    repeats[#repeats + 1] = place - 1
  else
    local target, human = 5 + 3 * hit[2], hit[4] == 'human'
    local counter = COUNTER[human and hit[3] or hit[4]]
    count(KEYS[target], counter)
    count(KEYS[target + 1], counter)
    count(KEYS[target + 2], floor(hit[6] / HOUR) .. '|' .. hit[5] .. '|' .. counter)
    local visits = human and hit[8] and days[hit[2]]
    local day = visits and visits[floor((hit[6] + CHINA) / DAY)]
    if day and (hit[3] == 'click' or hit[3] == 'scan') then
      day.visitors[#day.visitors + 1] = hit[8]
    end
  end
end

for key, fields in pairs(sums) do
  for field, number in pairs(fields) do
    redis.call('HINCRBY', key, field, number)
  end
end
for place, visits in pairs(days) do
  for _, day in pairs(visits) do
    local new = #day.visitors > 0 and redis.call('SADD', day.key, unpack(day.visitors)) or 0
    if new > 0 then
      redis.call('EXPIRE', day.key, ARGV[5])
      redis.call('HINCRBY', KEYS[5 + 3 * place], 'unique_visitors', new)
      redis.call('HINCRBY', KEYS[6 + 3 * place], 'unique_visitors', new)
    end
  end
end

local reply = ''
if #repeats > 0 then
  reply = cmsgpack.pack(repeats)
end
if #repeats < #hits then
  redis.call('XADD', KEYS[3], '*', 'n', redis.call('INCR', KEYS[2]), 'b', ARGV[2], 'x', reply)
end
redis.call('SET', KEYS[4], reply, 'EX', ARGV[3])
return reply
