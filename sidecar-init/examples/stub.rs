//! A daemon for the tests: does what its arguments say, one after the other.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::Duration;

fn main() {
    let mut words = std::env::args().skip(1);
    let mut held: Vec<TcpListener> = Vec::new();
    let mut out = std::io::stdout();
    while let Some(verb) = words.next() {
        let mut word = || words.next().expect("the verb wants an argument");
        let said = match verb.as_str() {
            "say" => word(),
            "listen" => {
                let address = word();
                match TcpListener::bind(&address) {
                    Ok(listener) => {
                        held.push(listener);
                        format!("listening on {address}")
                    }
                    Err(error) => format!("cannot listen on {address}: {error}"),
                }
            }
            "connect" => outcome("connect", TcpStream::connect(word())),
            "abstract" => {
                let address = SocketAddr::from_abstract_name(word()).expect("a short name");
                outcome("abstract", UnixStream::connect_addr(&address))
            }
            "read" => outcome("read", std::fs::read(word())),
            "exit" => std::process::exit(word().parse().expect("a code")),
            // Ends with its standard input, which is /dev/null for a daemon: so it waits on a socket of its own.
            "wait" => loop {
                std::thread::park_timeout(Duration::from_hours(1));
            },
            "slurp" => {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text).expect("standard input");
                format!("standard input has {} bytes", text.len())
            }
            other => panic!("the stub cannot {other}"),
        };
        writeln!(out, "{said}").expect("standard output");
        out.flush().expect("standard output");
    }
}

fn outcome<T>(what: &str, result: std::io::Result<T>) -> String {
    match result {
        Ok(_) => format!("{what}: ok"),
        Err(error) => format!("{what}: {:?}", error.kind()),
    }
}
