-- Sets the counters of some participants to what Postgres has, plus what the stream holds beyond it; their campaign's
-- counters move by the difference.
-- KEYS: stream, campaign, then the keys that the plan names by their places.
-- ARGV: the last drained entry, the campaign, seconds to remember a visitor, the packed plan: for each participant
--       {its id, place of its counters, {counter, number, …}, {{day, place of the day's visitors, place where they are
--       staged, how many are}, …}}.
local found = {}
for _, row in ipairs(cmsgpack.unpack(ARGV[4])) do
  local participant = {key = KEYS[row[2]], counts = {}, days = {}}
  for i = 1, #row[3], 2 do
    participant.counts[row[3][i]] = row[3][i + 1]
  end
  for _, day in ipairs(row[4]) do
    if day[4] > 0 and redis.call('SCARD', KEYS[day[3]]) ~= day[4] then
      return redis.error_reply('STAGED visitors are missing')
    end
    participant.days[day[1]] = {key = KEYS[day[2]], staged = KEYS[day[3]], any = day[4] > 0}
  end
  found[row[1]] = participant
end

pending(KEYS[1], ARGV[1], ARGV[2], function(target, hit, counter)
  local participant = found[target[3]]
  if not participant then
    return
  end
  local counts = participant.counts
  counts[counter] = (counts[counter] or 0) + 1
  local number = visit_day(hit)
  local day = number and participant.days[number]
  if day and redis.call('SADD', day.staged, hit[8]) == 1 then
    day.any = true
    counts['unique_visitors'] = (counts['unique_visitors'] or 0) + 1
  end
end)

local differences, gone = {}, {}
for _, participant in pairs(found) do
  ensure_hash(participant.key)
  local names, values = {}, {}
  for counter, number in pairs(participant.counts) do
    names[#names + 1] = counter
    values[#values + 1] = counter
    values[#values + 1] = number
  end
  for i, before in ipairs(redis.call('HMGET', participant.key, unpack(names))) do
    differences[names[i]] = (differences[names[i]] or 0) + values[2 * i] - tonumber(before or 0)
  end
  redis.call('HSET', participant.key, unpack(values))
  for _, day in pairs(participant.days) do
    gone[#gone + 1] = day.key
  end
end
for first = 1, #gone, 1000 do
  redis.call('UNLINK', unpack(gone, first, math.min(first + 999, #gone)))
end
for _, participant in pairs(found) do
  for _, day in pairs(participant.days) do
    if day.any then
      redis.call('RENAME', day.staged, day.key)
      redis.call('EXPIRE', day.key, ARGV[3])
    end
  end
end
ensure_hash(KEYS[2])
for counter, difference in pairs(differences) do
  if difference ~= 0 then
    redis.call('HINCRBY', KEYS[2], counter, difference)
  end
end
return 'OK'
