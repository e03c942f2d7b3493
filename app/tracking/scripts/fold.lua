-- Folds some hours of a campaign into one. Fields that are gone meanwhile are passed over, so it can be run again.
-- KEYS: hours. ARGV: the name of the hour that takes the others; fields, `hour|channel|counter` each.
for i = 2, #ARGV do
  local number = redis.call('HGET', KEYS[1], ARGV[i])
  if number then
    redis.call('HINCRBY', KEYS[1], ARGV[1] .. string.match(ARGV[i], '|.*'), number)
    redis.call('HDEL', KEYS[1], ARGV[i])
  end
end
return 'OK'
