async def test_a(database): assert database
async def test_b(redis_url, store_url): print(redis_url, store_url)
