//! Servers that mean no good: what they send ends in time, in size, and at this server.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use merlon_fetch::World;
use merlon_store::{Error, Method, Outside, Request};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// A server for one connection, and its address.
fn server(serve: impl FnOnce(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || serve(listener.accept().unwrap().0));
    format!("http://{address}/")
}

/// The head of a request.
fn head(stream: &mut TcpStream) -> String {
    let (mut text, mut byte) = (String::new(), [0]);
    while !text.ends_with("\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        text.push(char::from(byte[0]));
    }
    text
}

fn answering(answer: &'static str) -> String {
    server(move |mut stream| {
        head(&mut stream);
        let _ = stream.write_all(answer.as_bytes());
    })
}

fn get(url: &str, within: u64) -> Result<(u16, Vec<u8>), Error> {
    let request = Request::new(Method::Get, url.to_string()).header("x-vault-token", "s.secret");
    let mut world = World::new(Duration::from_millis(within), None);
    let response = world.send(&request)?;
    Ok((response.status, response.body.expose().clone()))
}

#[test]
fn an_answer_comes_with_its_status() {
    let url = answering("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntext");
    assert_eq!(get(&url, 5000), Ok((200, b"text".to_vec())));
    let url = answering("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\n{}");
    assert_eq!(get(&url, 5000), Ok((403, b"{}".to_vec())));
}

#[test]
fn the_request_has_its_headers_and_its_body() {
    let (tell, told) = std::sync::mpsc::channel();
    let url = server(move |mut stream| {
        let head = head(&mut stream);
        let mut body = [0; 7];
        stream.read_exact(&mut body).unwrap();
        tell.send((head, body)).unwrap();
        let _ = stream.write_all(b"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n");
    });
    let request = Request::new(Method::Post, format!("{url}login"))
        .header("x-vault-request", "true")
        .body(*b"{\"a\":1}");
    World::new(Duration::from_secs(5), None)
        .send(&request)
        .unwrap();
    let (head, body) = told.recv().unwrap();
    assert!(head.starts_with("POST /login HTTP/1.1\r\n"), "{head}");
    assert!(
        head.contains("x-vault-request: true\r\n") && head.contains("content-length: 7\r\n"),
        "{head}"
    );
    assert_eq!(&body, b"{\"a\":1}");
}

#[test]
fn a_redirection_is_not_followed_not_even_to_the_same_host() {
    for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let elsewhere = listener.local_addr().unwrap();
        let url = server(move |mut stream| {
            head(&mut stream);
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nLocation: http://{elsewhere}/\r\nContent-Length: 0\r\n\r\n"
            );
        });
        assert_eq!(get(&url, 5000), Err(Error::Redirected), "{status}");
        assert!(
            listener.accept().is_err(),
            "{status}: the token went elsewhere"
        );
        let url = server(move |mut stream| {
            let mut body = [0; 2];
            head(&mut stream);
            let _ = stream.read_exact(&mut body);
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nLocation: http://{elsewhere}/\r\nContent-Length: 0\r\n\r\n"
            );
        });
        let request = Request::new(Method::Post, url).body(*b"{}");
        let sent = World::new(Duration::from_secs(5), None)
            .send(&request)
            .err();
        assert_eq!(sent, Some(Error::Redirected), "{status} after a body");
        assert!(
            listener.accept().is_err(),
            "{status}: the body went elsewhere"
        );
    }
}

#[test]
fn a_huge_answer_is_refused_whether_its_length_is_said_or_not() {
    let url = server(|mut stream| {
        head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n");
        let _ = stream.write_all(&vec![b'x'; 2_000_000]);
    });
    assert_eq!(get(&url, 10_000), Err(Error::TooLarge));
    let url = server(|mut stream| {
        head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        while stream.write_all(&[b'x'; 65536]).is_ok() {}
    });
    assert_eq!(get(&url, 10_000), Err(Error::TooLarge));
    let url = server(|mut stream| {
        head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(&[b'x'; 1024]).is_ok() {}
    });
    assert!(get(&url, 10_000).is_err());
}

#[test]
fn a_slow_answer_ends_at_the_deadline_drop_by_drop_or_not_at_all() {
    let drops = server(|mut stream| {
        head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let silence = server(|mut stream| {
        head(&mut stream);
        thread::sleep(Duration::from_secs(10));
    });
    for url in [drops, silence] {
        let begin = Instant::now();
        assert_eq!(get(&url, 500), Err(Error::Timeout));
        assert!(
            begin.elapsed() < Duration::from_secs(3),
            "{:?}",
            begin.elapsed()
        );
    }
}

#[test]
fn garbage_a_cut_answer_and_nobody_are_told_apart() {
    assert_eq!(
        get(&answering("220 smtp.example ESMTP\r\n\r\n"), 5000),
        Err(Error::NotHttp)
    );
    let cut = answering("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ntext");
    assert_eq!(get(&cut, 5000), Err(Error::Connect { why: "closed" }));
    let nobody = server(|_| ());
    assert!(matches!(
        get(&nobody, 5000),
        Err(Error::Connect { .. } | Error::NotHttp)
    ));
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let refused = Error::Connect {
        why: "econnrefused",
    };
    assert_eq!(
        get(&format!("http://127.0.0.1:{port}/"), 5000),
        Err(refused)
    );
    assert_eq!(
        get("http://no-such-host.invalid/", 5000),
        Err(Error::HostNotFound)
    );
}

#[test]
fn a_server_without_tls_and_roots_that_are_none_are_told_apart() {
    let plain = server(|mut stream| {
        let _ = stream.write_all(b"220 smtp.example ESMTP\r\n");
        let _ = stream.read(&mut [0; 1000]);
    });
    let plain = plain.replace("http:", "https:");
    assert!(matches!(get(&plain, 5000), Err(Error::Tls { .. })));
    let request = || Request::new(Method::Get, "https://127.0.0.1:1/".to_string());
    let ca = |path: &str| {
        World::new(Duration::from_secs(5), Some(path.to_string()))
            .send(&request())
            .err()
    };
    let file = |path: &str, why| {
        Some(Error::File {
            path: path.to_string(),
            why,
        })
    };
    assert_eq!(ca("/nowhere/ca.pem"), file("/nowhere/ca.pem", "enoent"));
    assert_eq!(ca("/etc/hostname"), file("/etc/hostname", "no_certificate"));
}
