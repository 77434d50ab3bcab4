//! temporary
use xtask::{arch::Arch, event::Event, flags::Target, initramfs::*, session::Session};
fn main() {
    let s = Session::open().unwrap();
    let plan = s.plan(&Target::default()).unwrap();
    let sink = |e: Event| {
        if !matches!(e, Event::StepProgress { .. }) {
            eprintln!("{e:?}")
        }
    };
    let _l = s.layout.lock(&sink).unwrap();
    for arch in Arch::ALL {
        let p = match guest_programs::build(&plan, arch, &sink) {
            Ok(p) => p,
            Err(e) => {
                eprintln!("{e}");
                continue;
            }
        };
        println!("{p:?}");
        println!(
            "{:?}",
            manifest::build(&plan.layout, arch, &p, &sink).map_err(|e| e.to_string())
        );
    }
    if std::env::args().count() > 1 {
        for arch in Arch::ALL {
            match debian::packages_archive(
                &plan,
                arch,
                &["python3-minimal".into(), "dash".into()],
                &sink,
            ) {
                Ok(p) => println!("{p:?}"),
                Err(e) => eprintln!("{e}"),
            }
        }
    }
}
