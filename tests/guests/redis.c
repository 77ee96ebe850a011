/* redis: keeps a text in Redis by hiredis as it is. `host` and `port` say where; `say` is set under `key` and read back, and a
 * counter goes up. */
#include "guest.h"

#include <netdb.h>

#include <hiredis.h>

static void say(redisContext *redis, redisReply *reply) {
    if (!reply) {
        printf("failed: %s\n", redis->errstr);
        exit(0);
    }
    if (reply->type == REDIS_REPLY_INTEGER) printf("%lld\n", reply->integer);
    else printf("%s\n", reply->str ? reply->str : "nil");
    freeReplyObject(reply);
}

int main(void) {
    struct timeval limit = {.tv_sec = 5};
    head("text/plain");
    redisContext *redis = redisConnectWithTimeout(param("host"), (int)number("port", 6379), limit);
    if (!redis || redis->err) {
        printf("connect: %s\n", redis ? redis->errstr : "no memory");
        return 0;
    }
    redisSetTimeout(redis, limit);
    say(redis, redisCommand(redis, "SET %s %s", param("key"), param("say")));
    say(redis, redisCommand(redis, "GET %s", param("key")));
    say(redis, redisCommand(redis, "INCR %s", "visits"));
    /* Ten at once, before any answer is read. */
    for (int i = 0; i < 10; i++) redisAppendCommand(redis, "INCR %s", "pipelined");
    for (int i = 0; i < 10; i++) {
        redisReply *reply = NULL;
        redisGetReply(redis, (void **)&reply);
        if (i == 9) say(redis, reply);
        else freeReplyObject(reply);
    }
    redisFree(redis);
    return 0;
}
