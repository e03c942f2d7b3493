-- Records one batch: once, whatever happens to the reply.
-- KEYS: epoch, sequence, stream, guard of this batch, then the keys that the plan names by their places.
-- ARGV: epoch to set where there is none; the packed hits; seconds to remember the batch, a client's event id, a visitor;
--       the packed plan: for each hit {place of its event id's key or 0, campaign, participant, hours, counter,
--       field of the hour, place of the day's visitors or 0, visitor}.
-- Returns the packed places (from 0) of the hits that were recorded before, or an empty string.
local done = redis.call('GET', KEYS[4])
if done then
  return done
end
redis.call('SET', KEYS[1], ARGV[1], 'NX')

local plan = cmsgpack.unpack(ARGV[6])
local repeats, sums, visits = {}, {}, {}

local function count(key, field)
  local fields = sums[key]
  if not fields then
    fields = {}
    sums[key] = fields
  end
  fields[field] = (fields[field] or 0) + 1
end

for place, hit in ipairs(plan) do
  if hit[1] > 0 and not redis.call('SET', KEYS[hit[1]], '1', 'NX', 'EX', ARGV[4]) then
    repeats[#repeats + 1] = place - 1
  else
    count(hit[2], hit[5])
    count(hit[3], hit[5])
    count(hit[4], hit[6])
    if hit[7] > 0 then
      local day = visits[hit[7]]
      if not day then
        day = {campaign = hit[2], participant = hit[3], visitors = {}}
        visits[hit[7]] = day
      end
      day.visitors[#day.visitors + 1] = hit[8]
    end
  end
end

for key, fields in pairs(sums) do
  for field, number in pairs(fields) do
    redis.call('HINCRBY', KEYS[key], field, number)
  end
end
for key, day in pairs(visits) do
  local new = redis.call('SADD', KEYS[key], unpack(day.visitors))
  redis.call('EXPIRE', KEYS[key], ARGV[5])
  if new > 0 then
    redis.call('HINCRBY', KEYS[day.campaign], 'unique_visitors', new)
    redis.call('HINCRBY', KEYS[day.participant], 'unique_visitors', new)
  end
end

local reply = ''
if #repeats > 0 then
  reply = cmsgpack.pack(repeats)
end
if #repeats < #plan then
  redis.call('XADD', KEYS[3], '*', 'n', redis.call('INCR', KEYS[2]), 'b', ARGV[2], 'x', reply)
end
redis.call('SET', KEYS[4], reply, 'EX', ARGV[3])
return reply
