-- Sets the counters of some participants to what Postgres has, plus what the stream holds beyond it; their campaign's
-- counters move by the difference.
-- KEYS: stream, campaign, then the keys that the plan names by their places.
-- ARGV: the last drained entry, the campaign, seconds to remember a visitor, the packed plan: for each participant
--       {its id, place of its counters, {counter, number, …}, {{day, place of the day's visitors, {visitor, …}}, …}}.
local found = {}
for _, row in ipairs(cmsgpack.unpack(ARGV[4])) do
  local participant = {key = KEYS[row[2]], counts = {}, days = {}}
  for i = 1, #row[3], 2 do
    participant.counts[row[3][i]] = row[3][i + 1]
  end
  for _, day in ipairs(row[4]) do
    local known = {}
    for _, visitor in ipairs(day[3]) do
      known[visitor] = true
    end
    participant.days[day[1]] = {key = KEYS[day[2]], known = known, visitors = day[3]}
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
  if day and not day.known[hit[8]] then
    day.known[hit[8]] = true
    day.visitors[#day.visitors + 1] = hit[8]
    counts['unique_visitors'] = (counts['unique_visitors'] or 0) + 1
  end
end)

ensure_hash(KEYS[2])
for _, participant in pairs(found) do
  ensure_hash(participant.key)
  for counter, number in pairs(participant.counts) do
    local before = tonumber(redis.call('HGET', participant.key, counter) or 0)
    if before ~= number then
      redis.call('HSET', participant.key, counter, number)
      redis.call('HINCRBY', KEYS[2], counter, number - before)
    end
  end
  for _, day in pairs(participant.days) do
    redis.call('DEL', day.key)
    if #day.visitors > 0 then
      in_parts('SADD', day.key, day.visitors)
      redis.call('EXPIRE', day.key, ARGV[3])
    end
  end
end
return 'OK'
