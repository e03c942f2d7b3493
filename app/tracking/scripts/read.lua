-- What waits in a shard's stream, of one moment.
-- KEYS: epoch, sequence, stream. ARGV: the entry behind which it begins, how many entries at the most or an empty string.
local found
if ARGV[2] == '' then
  found = redis.call('XRANGE', KEYS[3], '(' .. ARGV[1], '+')
else
  found = redis.call('XRANGE', KEYS[3], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])
end
return {redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2]), found}
