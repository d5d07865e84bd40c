//! An agent that writes to itself: it starts a node, follows its inbox, sends a message, and reads it.
//!
//! `cargo run -p x0x --example direct` prints:
//!
//! ```text
//! sent      over loopback
//! received  from myself: result of job 7
//! ```

use x0x::dm::{DmPath, Draft};
use x0x::home::Home;
use x0x::node::{Config, Heard, Node};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let home = Home::at(dir.path().to_owned());
    let node = Node::start(Config::on_loopback(home)).await?;
    let mut inbox = node.mailbox().follow(None);
    // Another member's id goes here as well: then it travels over a link, or sealed through others.
    let receipt = node.send_direct(Draft::text(node.agent(), "result of job 7")).await?;
    assert_eq!(receipt.path, Some(DmPath::Loopback));
    println!("sent      over {}", DmPath::Loopback.name());
    for heard in inbox.next().await?.unwrap_or_default() {
        if let Heard::Message(envelope) = heard {
            let text = String::from_utf8_lossy(&envelope.message.payload).into_owned();
            println!("received  from myself: {text}");
            node.mailbox().release(envelope.number).await?;
        }
    }
    node.stop().await;
    Ok(())
}
