//! Writes the inputs that the targets start from into `corpus/`.

use std::io;
use std::path::Path;

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut all = x0x_fuzz::hostile::seeds::all();
    all.insert("frames", x0x_fuzz::frames::seeds());
    for (target, inputs) in all {
        let folder = corpus.join(target);
        std::fs::create_dir_all(&folder)?;
        for (number, input) in inputs.iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number:02}")), input)?;
        }
    }
    Ok(())
}
