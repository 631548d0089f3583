//! A user's own account: the password, the sessions, and what one user or one address may have of everything.

use serde_json::{Value, json};

use crate::accounts::out;
use crate::support::{Cluster, PASSWORD, Setup, User};

const NEW: &str = "another good password";

async fn login(cluster: &Cluster, node: usize, name: &str, password: &str) -> (u16, Option<User>) {
    let body = json!({"username": name, "password": password});
    let request = cluster.http.post(format!("{}/login", cluster.url(node))).header("User-Agent", "a\ttest");
    let answer = request.json(&body).send().await.expect("an answer");
    let status = answer.status().as_u16();
    let answer: Value = answer.json().await.expect("JSON");
    let user = |token: &Value| User {
        id: answer["user_id"].as_u64().expect("an id"),
        token: token.as_str().expect("text").to_owned(),
    };
    (status, answer.get("token").map(user))
}

async fn another(cluster: &Cluster, node: usize, name: &str) -> User {
    login(cluster, node, name, PASSWORD).await.1.expect("it is the password")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_the_other_sessions_at_every_node() {
    let cluster = Cluster::start(3, 0).await;
    let bob = cluster.user("bob").await;
    let others = [another(&cluster, 0, "bob").await, another(&cluster, 1, "bob").await];
    let change = async |node: usize, old: &str, key: &str| {
        let request = cluster.http.post(format!("{}/password", cluster.url(node))).bearer_auth(&bob.token);
        let body = json!({"old_password": old, "new_password": NEW});
        let answer = request.header("Idempotency-Key", key).json(&body).send().await.expect("an answer");
        answer.status().as_u16()
    };
    assert_eq!(change(0, "not his at all", "1").await, 403);
    for user in &others {
        assert_eq!(cluster.get_as(user, 2, "/sessions").await.0, 200, "what was refused ended nothing");
    }
    assert_eq!(change(1, PASSWORD, "2").await, 204);
    assert_eq!(change(2, PASSWORD, "2").await, 204, "the same request, the same answer");
    assert_eq!(change(2, PASSWORD, "3").await, 403, "and no other");
    for node in 0..3 {
        for user in &others {
            assert_eq!(cluster.get_as(user, node, "/sessions").await.0, 401, "at node {node}");
        }
        assert_eq!(cluster.get_as(&bob, node, "/sessions").await.0, 200, "the one that asked stays");
        assert_eq!(login(&cluster, node, "bob", PASSWORD).await.0, 401);
        assert_eq!(login(&cluster, node, "bob", NEW).await.0, 200);
    }
    let (short, status) = (json!({"old_password": NEW, "new_password": "short"}), 400);
    assert_eq!(cluster.post(&bob, 0, "/password", &short).await.0, status);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_session_guesses_the_password_no_better_than_a_stranger() {
    let cluster = Cluster::set_up(Setup::new(1, 0).with("RINGMASTER__LOGINS__ACCOUNT_FAILURES", 3)).await;
    let bob = cluster.user("bob").await;
    // Whoever has stolen the session is at an address from which bob never came.
    let elsewhere = std::net::IpAddr::from([127, 0, 0, 2]);
    let thief = reqwest::Client::builder().no_proxy().local_address(elsewhere).build().expect("a client");
    let wrong = json!({"old_password": "wrong password", "new_password": NEW});
    let guess = async |http: &reqwest::Client| {
        let request = http.post(format!("{}/password", cluster.url(0))).bearer_auth(&bob.token);
        request.json(&wrong).send().await.expect("an answer").status().as_u16()
    };
    let mut answers = Vec::new();
    for _ in 0..5 {
        answers.push(guess(&thief).await);
    }
    assert_eq!((&answers[..3], answers[4]), (&[403, 403, 403][..], 429), "{answers:?}");
    assert_eq!(guess(&cluster.http).await, 403, "bob himself is not held up");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_and_ended_one_by_one_or_together() {
    let cluster = Cluster::start(3, 0).await;
    let bob = cluster.user("bob").await;
    let second = another(&cluster, 1, "bob").await;
    let third = another(&cluster, 2, "bob").await;
    let (status, listed) = cluster.get_as(&second, 0, "/sessions").await;
    let rows = listed["sessions"].as_array().expect("sessions").clone();
    assert_eq!((status, rows.len()), (200, 3), "{listed}");
    let own: Vec<&Value> = rows.iter().filter(|row| row["current"] == true).collect();
    assert_eq!(own.len(), 1, "{listed}");
    assert_eq!((own[0]["from"].as_str(), own[0]["agent"].as_str()), (Some("127.0.0.1"), Some("atest")), "{listed}");
    assert!(!listed.to_string().contains(&second.token[..16]), "a session's name says nothing of its token");

    // Nobody ends another's.
    let end = |user: &User, body: Value| {
        let user = user.clone();
        let cluster = &cluster;
        async move { cluster.post(&user, 1, "/sessions/end", &body).await.0 }
    };
    let id = own[0]["session_id"].clone();
    assert_eq!(end(&cluster.admin, json!({"session_id": id})).await, 404);
    for wrong in [json!({}), json!({"session_id": id, "all": true}), json!({"others": true, "all": true})] {
        assert_eq!(end(&bob, wrong.clone()).await, 400, "{wrong}");
    }
    for wrong in ["", "zz", "00"] {
        assert_eq!(end(&bob, json!({"session_id": wrong})).await, 404, "{wrong}");
    }
    assert_eq!(end(&bob, json!({"session_id": id})).await, 204);
    for node in 0..3 {
        assert_eq!(cluster.get_as(&second, node, "/sessions").await.0, 401);
        assert_eq!(cluster.get_as(&third, node, "/sessions").await.0, 200);
    }
    // By the program's own client.
    let shown = out(&cluster, Some(&bob), &["sessions"], 0);
    assert_eq!((shown.lines().count(), shown.matches("(this one)").count()), (3, 1), "{shown}");
    out(&cluster, Some(&bob), &["sessions", "--end-others"], 0);
    assert_eq!(cluster.get_as(&third, 0, "/sessions").await.0, 401);
    out(&cluster, Some(&bob), &["sessions", "--end-all"], 0);
    out(&cluster, Some(&bob), &["sessions"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_worth_nothing_once_its_session_has_ended() {
    let cluster = Cluster::start(3, 2).await;
    let bob = cluster.user("bob").await;
    let node = cluster.follower().await;
    let client =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    let ask = async |name: &str| {
        let url = format!("{}/write?path=/{name}", cluster.url(node));
        let request = client.put(url).bearer_auth(&bob.token).header("Ringmaster-Routing", "redirect").body("bytes");
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 307);
        answer.headers()["location"].to_str().expect("text").to_owned()
    };
    let redeem = async |location: &str| {
        let request = client.put(location).header("Ringmaster-Routing", "redirect").body("bytes");
        request.send().await.expect("an answer").status().as_u16()
    };
    let (used, unused) = (ask("used").await, ask("unused").await);
    assert_eq!(redeem(&used).await, 201);
    assert_eq!(cluster.post(&bob, node, "/logout", &json!({})).await.0, 204);
    assert_eq!(redeem(&unused).await, 401);
    let bob = another(&cluster, 0, "bob").await;
    assert_eq!(cluster.read(&bob, 0, "/unused").await, Err(404));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_makes_so_many_accounts_within_an_hour_and_an_invitation_passes_that_by() {
    let cluster = Cluster::set_up(Setup::new(1, 0).with("RINGMASTER__LOGINS__ADDRESS_SIGNUPS", 3)).await;
    let signup = async |name: &str, invite: Option<&Value>| {
        let mut body = json!({"username": name, "password": PASSWORD});
        if let Some(invite) = invite {
            body["invite"] = invite.clone();
        }
        let answer =
            cluster.http.post(format!("{}/signup", cluster.url(0))).json(&body).send().await.expect("an answer");
        let wait = answer.headers().get("retry-after").and_then(|wait| wait.to_str().ok()?.parse::<u64>().ok());
        (answer.status().as_u16(), wait)
    };
    for name in ["a", "b", "c"] {
        assert_eq!(signup(name, None).await, (201, None));
    }
    let (status, wait) = signup("d", None).await;
    assert!(status == 429 && wait.is_some_and(|wait| (1..=3600).contains(&wait)), "{status} {wait:?}");
    let invite = cluster.post(&cluster.admin, 0, "/admin/invites", &json!({})).await.1["invite"].clone();
    assert_eq!(signup("d", Some(&invite)).await.0, 201);
    assert_eq!(login(&cluster, 0, "a", PASSWORD).await.0, 200, "who has an account logs in");
}
