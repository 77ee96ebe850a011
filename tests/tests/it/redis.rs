//! A client of Redis as it is, with a real server on a unix socket and on the loopback interface.

use std::path::Path;

use tower_wcgi::{NetRule, WcgiService};
use wcgi_tests::servers::Redis;
use wcgi_tests::{builder, get};

fn client(rule: &str) -> WcgiService {
    builder("redis").net(rule.parse::<NetRule>().unwrap()).build().unwrap()
}

fn on(socket: &Path) -> String {
    format!("cache:6379=unix:{}", socket.display())
}

#[tokio::test]
async fn hiredis_as_it_is_talks_to_redis() {
    let redis = Redis::start().await;
    let (by_unix, by_tcp) = (client(&on(&redis.socket())), client(&format!("cache:6379=127.0.0.1:{}", redis.port)));
    let target = "/?host=cache&port=6379&key=greeting&say=hello%20world";
    assert_eq!(get(&by_unix, target).await.text(), "OK\nhello world\n1\n10\n");
    assert_eq!(get(&by_tcp, target).await.text(), "OK\nhello world\n2\n20\n", "the same server");
    let visits = tokio::join!(get(&by_unix, target), get(&by_tcp, target), get(&by_unix, target));
    let mut counts: Vec<_> = [visits.0, visits.1, visits.2]
        .iter()
        .filter_map(|reply| Some(reply.text().lines().nth(2)?.to_owned()))
        .collect();
    counts.sort();
    assert_eq!(counts, ["3", "4", "5"]);
}
