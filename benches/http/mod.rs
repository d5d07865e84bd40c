//! Asking a server over one connection, and what measurements have in common.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection that is kept, and says no more than it must.
pub struct Client {
    stream: TcpStream,
    head: String,
    buffer: Vec<u8>,
}

impl Client {
    pub async fn to(api: &str, token: &str) -> Self {
        let stream = TcpStream::connect(api).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let head = format!("HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n");
        Self { stream, head, buffer: Vec::new() }
    }

    pub async fn send(&mut self, method: &str, path: &str, body: &str) {
        let length = body.len();
        let kind = "Content-Type: application/json\r\n";
        let request =
            format!("{method} {path} {}{kind}Content-Length: {length}\r\n\r\n{body}", self.head);
        self.stream.write_all(request.as_bytes()).await.unwrap();
    }

    pub async fn ask(&mut self, method: &str, path: &str, body: &str) -> (u16, String) {
        self.send(method, path, body).await;
        let head = self.until("\r\n\r\n").await;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let length: usize = length.parse().unwrap();
        while self.buffer.len() < length {
            self.more().await;
        }
        let rest = self.buffer.split_off(length);
        let body = std::mem::replace(&mut self.buffer, rest);
        (status, String::from_utf8(body).unwrap())
    }

    /// Returns what comes until some text, which is the end of it.
    pub async fn until(&mut self, end: &str) -> String {
        loop {
            let found = self.buffer.windows(end.len()).position(|part| part == end.as_bytes());
            if let Some(at) = found {
                let rest = self.buffer.split_off(at + end.len());
                let text = std::mem::replace(&mut self.buffer, rest);
                return String::from_utf8(text).unwrap();
            }
            self.more().await;
        }
    }

    async fn more(&mut self) {
        self.buffer.reserve(64 << 10);
        assert!(self.stream.read_buf(&mut self.buffer).await.unwrap() > 0, "hung up");
    }
}

pub fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * part) as usize]
}
