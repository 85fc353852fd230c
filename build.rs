//! Extracts Swagger UI's two files and its licence from the archive in a crate, and compresses the files, so that the
//! binary can serve them unchanged.

use std::{
    error::Error,
    fs::{self, File},
    io::{self, Cursor},
    path::Path,
};

use flate2::{Compression, write::GzEncoder};
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

/// The path in the archive, below its top folder.
const COMPRESSED: [&str; 2] = ["dist/swagger-ui-bundle.js", "dist/swagger-ui.css"];
const LICENCE: [&str; 2] = ["LICENSE", "NOTICE"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let folder = std::env::var("OUT_DIR")?;
    let folder = Path::new(&folder);
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED))?;
    let top = archive.by_index(0)?.name()?.split('/').next().unwrap_or_default().to_owned();
    for path in COMPRESSED {
        let name = path.rsplit('/').next().unwrap_or(path);
        let file = File::create(folder.join(format!("{name}.gz")))?;
        let mut encoder = GzEncoder::new(file, Compression::best());
        io::copy(&mut archive.by_name(&format!("{top}/{path}"))?, &mut encoder)?;
        encoder.finish()?;
    }
    let mut licence = String::new();
    for path in LICENCE {
        io::Read::read_to_string(&mut archive.by_name(&format!("{top}/{path}"))?, &mut licence)?;
        licence.push('\n');
    }
    fs::write(folder.join("swagger-ui-licence.txt"), licence)?;
    Ok(())
}
