//! What may use the journal's reserve when the disk is nearly full: `Engine::only_reduces`.

use engine::{EventBuffer, Seq, Work};

use crate::script::{self, Step};

/// Lines that end in `# yes` or `# no` are only asked about; the others happen.
const SCRIPT: &str = "
setup
  account alice
  account bob
  account sim venue
commands
  sim   sell 300 @ 100.00
  alice sell 10 @ 100.00      # no: flat
  alice buy 100 @ 100.00
  alice sell 100 @ 101.00     # yes
  alice sell 101 @ 101.00     # no: one share would open a short
  alice sell 100 market       # yes
  alice buy 1 @ 99.00         # no
  bob   sell 10 @ 101.00      # no: nothing of his is open
  alice sell 60 @ 104.00
  alice sell 40 @ 101.00      # yes
  alice sell 41 @ 101.00      # no: 60 are on sale already
  alice modify 3 @ 103.00     # yes: an exit may move
  alice modify 3 to 100       # yes
  alice modify 3 to 101       # no
  bob   modify 3 to 10        # no: not his
  alice cancel 3              # yes
  alice buy 50 @ 98.00
  alice modify 4 to 40        # yes
  alice modify 4 to 50        # yes: it stays
  alice modify 4 @ 98.00      # yes: it stays
  alice modify 4 to 51        # no
  alice modify 4 @ 97.00      # no: an entry moves
  alice modify 4 to 40 @ 97.00 # no
  alice modify 99 to 1        # no: there is none
  alice close 2               # yes
";

#[test]
fn only_what_adds_to_no_position_may_use_the_reserve() {
    let mut engine = crate::engine(1_024);
    let lines: Vec<&str> = SCRIPT.lines().collect();
    let mut events = EventBuffer::new();
    let (mut seq, mut asked) = (0, 0);
    for step in script::parse_file(SCRIPT).steps {
        let Step::Do { line, mut command } = step else {
            panic!("commands only");
        };
        let comment = lines[line - 1]
            .split_once("# ")
            .map_or("", |(_, comment)| comment);
        let before = engine.state_hash();
        match comment.split(':').next() {
            Some(answer @ ("yes" | "no")) => {
                let reduces = engine.only_reduces(&command.command);
                assert_eq!(reduces, answer == "yes", "line {line}: {}", lines[line - 1]);
                assert_eq!(engine.state_hash(), before, "asking changes nothing");
                asked += 1;
            }
            _ => {
                seq += 1;
                command.seq = Seq::new(seq);
                events.clear();
                let mut work = engine.apply(&command, &mut events);
                while work == Work::More {
                    events.clear();
                    work = engine.resume(&mut events);
                }
            }
        }
    }
    assert_eq!(
        asked,
        SCRIPT.matches("# yes").count() + SCRIPT.matches("# no").count()
    );
}
