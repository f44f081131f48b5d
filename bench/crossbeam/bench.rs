// SPDX-License-Identifier: MIT

//! crossbeam-channel on the work that the other programs here give to kchan:
//! pairs, ping-pong, streams, selects, deadlines. Prints
//! work,peer,size,n,unit,value. A message is an array and goes by value.

use crossbeam_channel::{bounded, Receiver, Select, Sender};
use std::arch::asm;
use std::process::exit;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// What a measurement takes, about, in instructions: 30 ms where there are 1e9
/// a second. Each row says about what its operation costs, so how often it is
/// done is fixed and the results repeat.
const BUDGET: f64 = 30e6;

/// Capacity of a stream.
const QUEUE: usize = 64;

/// A stream's messages are a multiple: all get the same share.
const SHARES: usize = 16;

/// Ready channels, chosen before the clock starts.
const PICKS: usize = 1024;

const HOUR: Duration = Duration::from_secs(3600);

type Message<const N: usize> = [u8; N];

/// The message of the selects.
type Word = Message<64>;

/// Takes the time of every single operation, if it is on.
struct Laps {
    on: bool,
    last: Instant,
    ns: Vec<u128>,
}

impl Laps {
    fn off() -> Laps {
        Laps {
            on: false,
            last: Instant::now(),
            ns: Vec::new(),
        }
    }

    fn on(operations: usize) -> Laps {
        Laps {
            on: true,
            last: Instant::now(),
            ns: Vec::with_capacity(operations),
        }
    }

    fn begin(&mut self) -> Instant {
        self.last = Instant::now();
        self.last
    }

    fn lap(&mut self) {
        if self.on {
            let now = Instant::now();
            self.ns.push((now - self.last).as_nanos());
            self.last = now;
        }
    }

    /// The time that so many in a thousand operations did not exceed; sorted before.
    fn per_mille(&self, n: usize) -> f64 {
        self.ns[(self.ns.len() * n + 999) / 1000 - 1] as f64
    }
}

/// Has the compiler believe that the whole message is read and written here.
fn touch<T>(message: &mut T) {
    unsafe { asm!("/* {0} */", in(reg) message, options(nostack, preserves_flags)) }
}

fn per_operation(time: Duration, operations: usize) -> f64 {
    time.as_nanos() as f64 / operations as f64
}

fn send<const N: usize>(to: &Sender<Message<N>>, message: &mut Message<N>) {
    touch(message);
    to.send(*message).unwrap();
}

fn receive<const N: usize>(from: &Receiver<Message<N>>, message: &mut Message<N>) {
    *message = from.recv().unwrap();
    touch(message);
}

fn pair<const N: usize>(operations: usize, laps: &mut Laps) -> f64 {
    let (tx, rx) = bounded(1);
    let (mut sent, mut received) = ([0; N], [0; N]);

    let start = laps.begin();
    for _ in 0..operations {
        send(&tx, &mut sent);
        receive(&rx, &mut received);
        laps.lap();
    }
    per_operation(start.elapsed(), operations)
}

fn answer<const N: usize>(
    there: &Receiver<Message<N>>,
    back: &Sender<Message<N>>,
    operations: usize,
) {
    let (mut sent, mut received) = ([0; N], [0; N]);

    for _ in 0..operations {
        receive(there, &mut received);
        send(back, &mut sent);
    }
}

fn pingpong<const N: usize>(capacity: usize, operations: usize, laps: &mut Laps) -> f64 {
    let (there, there_rx) = bounded(capacity);
    let (back, back_rx) = bounded(capacity);
    let (mut sent, mut received) = ([0; N], [0; N]);
    let ready = Barrier::new(2);

    thread::scope(|scope| {
        scope.spawn(|| {
            ready.wait();
            answer(&there_rx, &back, operations);
        });
        ready.wait();
        let start = laps.begin();
        for _ in 0..operations {
            send(&there, &mut sent);
            receive(&back_rx, &mut received);
            laps.lap();
        }
        per_operation(start.elapsed(), operations)
    })
}

/// When somebody's work began and when it was done.
fn timed(ready: &Barrier, work: impl Fn()) -> (Instant, Instant) {
    ready.wait();
    let begin = Instant::now();
    work();
    (begin, Instant::now())
}

fn send_all<const N: usize>(tx: &Sender<Message<N>>, messages: usize) {
    let mut sent = [0; N];
    for _ in 0..messages {
        send(tx, &mut sent);
    }
}

fn receive_all<const N: usize>(rx: &Receiver<Message<N>>, messages: usize) {
    let mut received = [0; N];
    for _ in 0..messages {
        receive(rx, &mut received);
    }
}

fn stream<const N: usize>(senders: usize, receivers: usize, operations: usize) -> f64 {
    let messages = (operations + SHARES - 1) / SHARES * SHARES;
    let (tx, rx) = bounded::<Message<N>>(QUEUE);
    let ready = Barrier::new(senders + receivers);

    thread::scope(|scope| {
        let sending = || timed(&ready, || send_all(&tx, messages / senders));
        let receiving = || timed(&ready, || receive_all(&rx, messages / receivers));
        let mut members = Vec::new();
        members.extend((0..senders).map(|_| scope.spawn(sending)));
        members.extend((0..receivers).map(|_| scope.spawn(receiving)));
        let times: Vec<_> = members
            .into_iter()
            .map(|member| member.join().unwrap())
            .collect();
        let begin = times.iter().map(|time| time.0).min().unwrap();
        let end = times.iter().map(|time| time.1).max().unwrap();
        per_operation(end - begin, messages)
    })
}

/// Which of the channels is ready.
#[derive(Clone, Copy)]
enum Pick {
    First,
    Last,
    Random,
}

impl Pick {
    fn among(self, channels: usize) -> Vec<usize> {
        let mut seed = 1;
        (0..PICKS)
            .map(|_| match self {
                Pick::First => 0,
                Pick::Last => channels - 1,
                Pick::Random => random(&mut seed) % channels,
            })
            .collect()
    }
}

/// A linear congruential generator, of which the high bits are good.
fn random(seed: &mut u64) -> usize {
    *seed = seed
        .wrapping_mul(6364136223846793005)
        .wrapping_add(1442695040888963407);
    (*seed >> 33) as usize
}

type Channel = (Sender<Word>, Receiver<Word>);

fn make_channels(n: usize, capacity: usize) -> Vec<Channel> {
    (0..n).map(|_| bounded(capacity)).collect()
}

fn select_over(channels: &[Channel]) -> Select<'_> {
    let mut select = Select::new();
    for (_, rx) in channels {
        select.recv(rx);
    }
    select
}

fn take(select: &mut Select, channels: &[Channel], message: &mut Word) {
    let fired = select.select();
    let (_, rx) = &channels[fired.index()];
    *message = fired.recv(rx).unwrap();
    touch(message);
}

fn select_ready(width: usize, pick: Pick, operations: usize) -> f64 {
    let channels = make_channels(width, 1);
    let ready = pick.among(width);
    let mut select = select_over(&channels);
    let mut message = [0; 64];

    let start = Instant::now();
    for i in 0..operations {
        send(&channels[ready[i % PICKS]].0, &mut message);
        take(&mut select, &channels, &mut message);
    }
    per_operation(start.elapsed(), operations)
}

/// Another thread is asked for a message, which then comes while this one waits
/// in the select, or a little before.
fn select_block(width: usize, operations: usize) -> f64 {
    let channels = make_channels(width, 0);
    let (ask, asked) = bounded(0);
    let mut select = select_over(&channels);
    let mut message = [0; 64];

    thread::scope(|scope| {
        scope.spawn(|| send_when_asked(&asked, &channels, operations));
        let start = Instant::now();
        for _ in 0..operations {
            send(&ask, &mut message);
            take(&mut select, &channels, &mut message);
        }
        per_operation(start.elapsed(), operations)
    })
}

fn send_when_asked(asked: &Receiver<Word>, channels: &[Channel], operations: usize) {
    let ready = Pick::Random.among(channels.len());
    let mut message = [0; 64];
    for i in 0..operations {
        receive(asked, &mut message);
        send(&channels[ready[i % PICKS]].0, &mut message);
    }
}

/// Receives a message that is there, with a deadline; the receive alone is counted.
fn timeout(operations: usize) -> f64 {
    let (tx, rx) = bounded(QUEUE);
    let batches = (operations + QUEUE - 1) / QUEUE;
    let mut message = [0; 64];
    let mut total = Duration::ZERO;

    for _ in 0..batches {
        for _ in 0..QUEUE {
            send(&tx, &mut message);
        }
        let start = Instant::now();
        for _ in 0..QUEUE {
            message = rx.recv_timeout(HOUR).unwrap();
            touch(&mut message);
        }
        total += start.elapsed();
    }
    per_operation(total, batches * QUEUE)
}

/// Calls a function that is generic over the size for one of the sizes.
macro_rules! of_size {
    ($size:expr, $function:ident ( $($argument:expr),* )) => {
        match $size {
            0 => $function::<0>($($argument),*),
            8 => $function::<8>($($argument),*),
            64 => $function::<64>($($argument),*),
            512 => $function::<512>($($argument),*),
            4096 => $function::<4096>($($argument),*),
            65536 => $function::<65536>($($argument),*),
            _ => unreachable!(),
        }
    };
}

/// One line of output: what was measured, and about how many instructions an
/// operation costs.
struct Row {
    work: &'static str,
    size: usize,
    n: String,
    cost: usize,
}

impl Row {
    fn print(&self, unit: &str, value: f64) {
        println!(
            "{},crossbeam,{},{},{},{:.1}",
            self.work, self.size, self.n, unit, value
        );
    }
}

struct Bench {
    rounds: f64,
    /// Only what wakes across processors, of 64 bytes.
    across: bool,
    latency: bool,
}

impl Bench {
    /// What the command line asks for; None if that is not to be understood.
    fn from_options(mut options: impl Iterator<Item = String>) -> Option<Bench> {
        let mut bench = Bench {
            rounds: 1.0,
            across: false,
            latency: false,
        };
        while let Some(option) = options.next() {
            match option.as_str() {
                "--rounds" => bench.rounds = options.next()?.parse().ok()?,
                "--across" => bench.across = true,
                "--latency" => bench.latency = true,
                _ => return None,
            }
        }
        (bench.rounds > 0.0).then_some(bench)
    }

    fn sizes(&self) -> &'static [usize] {
        if self.across {
            &[64]
        } else {
            &[0, 8, 64, 512, 4096, 65536]
        }
    }

    fn shapes(&self) -> &'static [(usize, usize)] {
        &[(1, 1), (4, 1), (1, 4), (16, 1), (1, 16), (4, 4), (16, 16)]
    }

    fn widths(&self) -> &'static [usize] {
        &[1, 2, 8, 64, 512]
    }

    fn operations(&self, row: &Row) -> usize {
        1 + (self.rounds * BUDGET / row.cost as f64) as usize
    }

    /// A tenth runs first, so that what is there only once is there.
    fn measure(&self, row: Row, run: impl Fn(usize) -> f64) {
        let operations = self.operations(&row);
        run(1 + operations / 10);
        row.print("ns", run(operations));
    }

    fn measure_latency(&self, row: Row, run: impl Fn(usize, &mut Laps) -> f64) {
        let operations = self.operations(&row);
        run(1 + operations / 10, &mut Laps::off());
        row.print("ns", run(operations, &mut Laps::off()));
        if self.latency {
            let mut laps = Laps::on(operations);
            run(operations, &mut laps);
            laps.ns.sort_unstable();
            row.print("p50", laps.per_mille(500));
            row.print("p99", laps.per_mille(990));
            row.print("p999", laps.per_mille(999));
        }
    }

    fn pairs(&self) {
        for &size in self.sizes() {
            let row = Row {
                work: "pair",
                size,
                n: "1".into(),
                cost: 300 + size,
            };
            self.measure_latency(row, |operations, laps| {
                of_size!(size, pair(operations, laps))
            });
        }
    }

    fn pingpongs(&self) {
        for &size in self.sizes() {
            for capacity in [0, 1] {
                let row = Row {
                    work: "pingpong_thread",
                    size,
                    n: capacity.to_string(),
                    cost: 7000 + 4 * size,
                };
                self.measure_latency(row, |operations, laps| {
                    of_size!(size, pingpong(capacity, operations, laps))
                });
            }
        }
    }

    fn streams(&self) {
        for &size in self.sizes() {
            for &(senders, receivers) in self.shapes() {
                let n = format!("{}:{}", senders, receivers);
                let row = Row {
                    work: "stream",
                    size,
                    n,
                    cost: 500 + size,
                };
                self.measure(row, |operations| {
                    of_size!(size, stream(senders, receivers, operations))
                });
            }
        }
    }

    fn selects(&self) {
        let ready = [
            ("select_first", Pick::First),
            ("select_last", Pick::Last),
            ("select_random", Pick::Random),
        ];
        for &width in self.widths() {
            let row = |work, cost| Row {
                work,
                size: 64,
                n: width.to_string(),
                cost,
            };
            for (work, pick) in ready {
                self.measure(row(work, 400 + 75 * width), |operations| {
                    select_ready(width, pick, operations)
                });
            }
            self.measure(row("select_block_thread", 7000 + 100 * width), |operations| {
                select_block(width, operations)
            });
        }
    }

    fn timeouts(&self) {
        self.measure(
            Row {
                work: "timeout",
                size: 64,
                n: "1".into(),
                cost: 400,
            },
            timeout,
        );
    }
}

fn main() {
    let bench = Bench::from_options(std::env::args().skip(1)).unwrap_or_else(|| {
        eprintln!("usage: bench_crossbeam [--rounds F] [--across] [--latency]");
        exit(2)
    });
    let works: [(&str, bool, fn(&Bench)); 5] = [
        ("pair", false, Bench::pairs),
        ("pingpong", true, Bench::pingpongs),
        ("stream", true, Bench::streams),
        ("select", false, Bench::selects),
        ("timeout", false, Bench::timeouts),
    ];
    for (name, across, run) in works {
        if across || !bench.across {
            eprintln!("crossbeam: {}", name);
            run(&bench);
        }
    }
}
