// SPDX-License-Identifier: MIT

// Go's channels, contexts and WaitGroup on the work that the other programs
// here give to kchan: pairs, ping-pong, streams, selects, deadlines, cancels, values.
// Prints work,peer,size,n,unit,value. Peer go is goroutines, go-threads the
// same with each locked to a thread of the operating system.
//
// A message is an array and goes by value: the channel copies it, and so does
// the compiler, on either side of the channel. Go allows no elements of 64 KiB,
// so a message of 65536 bytes is a slice, whose bytes the receiver copies out
// into a buffer of its own: one copy, where the others have several.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"reflect"
	"runtime"
	"sort"
	"sync"
	"time"
)

// What a measurement takes, about, in instructions: 30 ms where there are 1e9 a
// second. Each row says about what its operation costs, so how often it is
// done is fixed and the results repeat.
const budget = 30e6

const (
	largest = 65536 // bytes of a message
	queue   = 64    // capacity of a stream
	shares  = 16    // a stream's messages are a multiple: all get the same share
	picks   = 1024  // ready channels, chosen before the clock starts
)

// A measurement does a number of operations and returns the nanoseconds that one took.
type measurement func(operations int, laps *lapTimer) float64

func perOperation(start time.Time, operations int) float64 {
	return float64(time.Since(start).Nanoseconds()) / float64(operations)
}

// lapTimer takes the time of every single operation; nil takes none.
type lapTimer struct {
	start time.Time
	last  time.Duration
	ns    []time.Duration
}

func newLapTimer(operations int) *lapTimer {
	return &lapTimer{ns: make([]time.Duration, 0, operations)}
}

func (l *lapTimer) begin() time.Time {
	start := time.Now()
	if l != nil {
		l.start = start
	}
	return start
}

func (l *lapTimer) lap() {
	if l != nil {
		l.record()
	}
}

func (l *lapTimer) record() {
	now := time.Since(l.start)
	l.ns = append(l.ns, now-l.last)
	l.last = now
}

// perMille is the time that so many in a thousand operations did not exceed.
func (l *lapTimer) perMille(n int) float64 {
	return float64(l.ns[(len(l.ns)*n+999)/1000-1])
}

func compose[T any]() (message T) {
	if slice, ok := any(&message).(*[]byte); ok {
		*slice = make([]byte, largest)
	}
	return message
}

// keep copies a slice's bytes; an array is the receiver's own already.
func keep[T any](message *T, buffer []byte) {
	if slice, ok := any(message).(*[]byte); ok {
		copy(buffer, *slice)
	}
}

func lockThread(locked bool) {
	if locked {
		runtime.LockOSThread()
	}
}

func unlockThread(locked bool) {
	if locked {
		runtime.UnlockOSThread()
	}
}

func pair[T any](operations int, laps *lapTimer) float64 {
	c := make(chan T, 1)
	sent, buffer := compose[T](), make([]byte, largest)
	var received T

	start := laps.begin()
	for i := 0; i < operations; i++ {
		c <- sent
		received = <-c
		keep(&received, buffer)
		laps.lap()
	}
	return perOperation(start, operations)
}

func answer[T any](there <-chan T, back chan<- T, operations int) {
	sent, buffer := compose[T](), make([]byte, largest)
	var received T

	for i := 0; i < operations; i++ {
		received = <-there
		keep(&received, buffer)
		back <- sent
	}
}

func pingpong[T any](capacity int, locked bool) measurement {
	return func(operations int, laps *lapTimer) float64 {
		there, back, ready := make(chan T, capacity), make(chan T, capacity), make(chan bool)
		sent, buffer := compose[T](), make([]byte, largest)
		var received T

		lockThread(locked)
		defer unlockThread(locked)
		go func() {
			lockThread(locked)
			defer unlockThread(locked)
			ready <- true
			answer(there, back, operations)
		}()
		<-ready
		start := laps.begin()
		for i := 0; i < operations; i++ {
			there <- sent
			received = <-back
			keep(&received, buffer)
			laps.lap()
		}
		return perOperation(start, operations)
	}
}

func sendAll[T any](c chan<- T, messages int) {
	sent := compose[T]()
	for i := 0; i < messages; i++ {
		c <- sent
	}
}

func receiveAll[T any](c <-chan T, messages int) {
	buffer := make([]byte, largest)
	var received T

	for i := 0; i < messages; i++ {
		received = <-c
		keep(&received, buffer)
	}
}

// team starts several goroutines at once and waits for them all.
type team struct {
	gate        chan struct{}
	ready, done sync.WaitGroup
}

func (t *team) add(members int, work func()) {
	t.ready.Add(members)
	t.done.Add(members)
	for i := 0; i < members; i++ {
		go func() {
			t.ready.Done()
			<-t.gate
			work()
			t.done.Done()
		}()
	}
}

func stream[T any](capacity, senders, receivers int) measurement {
	return func(operations int, _ *lapTimer) float64 {
		messages := (operations + shares - 1) / shares * shares
		c := make(chan T, capacity)
		t := team{gate: make(chan struct{})}

		t.add(senders, func() { sendAll(c, messages/senders) })
		t.add(receivers, func() { receiveAll(c, messages/receivers) })
		t.ready.Wait()
		start := time.Now()
		close(t.gate)
		t.done.Wait()
		return perOperation(start, messages)
	}
}

// word is the message of the selects.
type word = [64]byte

func makeChannels(n, capacity int) []chan word {
	channels := make([]chan word, n)
	for i := range channels {
		channels[i] = make(chan word, capacity)
	}
	return channels
}

// selector returns a receive from any of the channels: a select statement for
// 1, 2 and 8 (the compiler makes a plain receive of a single case), else
// reflect.Select, which is what Go has for a number that is not in the source.
func selector(c []chan word) func() word {
	switch len(c) {
	case 1:
		return func() word { return selectOf1((*[1]chan word)(c)) }
	case 2:
		return func() word { return selectOf2((*[2]chan word)(c)) }
	case 8:
		return func() word { return selectOf8((*[8]chan word)(c)) }
	}
	return selectOfMany(c)
}

func selectOf1(c *[1]chan word) (received word) {
	select {
	case received = <-c[0]:
	}
	return received
}

func selectOf2(c *[2]chan word) (received word) {
	select {
	case received = <-c[0]:
	case received = <-c[1]:
	}
	return received
}

func selectOf8(c *[8]chan word) (received word) {
	select {
	case received = <-c[0]:
	case received = <-c[1]:
	case received = <-c[2]:
	case received = <-c[3]:
	case received = <-c[4]:
	case received = <-c[5]:
	case received = <-c[6]:
	case received = <-c[7]:
	}
	return received
}

func selectOfMany(c []chan word) func() word {
	cases := make([]reflect.SelectCase, len(c))
	for i := range c {
		cases[i] = reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(c[i])}
	}
	return func() word {
		_, received, _ := reflect.Select(cases)
		return received.Interface().(word)
	}
}

func selectReady(channels int, pick func(n int) int) measurement {
	return func(operations int, _ *lapTimer) float64 {
		c := makeChannels(channels, 1)
		take, ready := selector(c), picked(channels, pick)
		var message word

		start := time.Now()
		for i := 0; i < operations; i++ {
			c[ready[i%picks]] <- message
			message = take()
		}
		return perOperation(start, operations)
	}
}

func picked(channels int, pick func(n int) int) (ready [picks]int) {
	for i := range ready {
		ready[i] = pick(channels)
	}
	return ready
}

func first(int) int { return 0 }

func last(n int) int { return n - 1 }

func random() func(n int) int { return rand.New(rand.NewSource(1)).Intn }

// selectBlock asks another goroutine for a message, which then comes while
// this one waits in the select, or a little before.
func selectBlock(channels int) measurement {
	return func(operations int, _ *lapTimer) float64 {
		c, asked := makeChannels(channels, 0), make(chan word)
		take := selector(c)
		var message word

		go sendWhenAsked(asked, c, picked(channels, random()))
		start := time.Now()
		for i := 0; i < operations; i++ {
			asked <- message
			message = take()
		}
		value := perOperation(start, operations)
		close(asked)
		return value
	}
}

func sendWhenAsked(asked <-chan word, c []chan word, ready [picks]int) {
	i := 0
	for message := range asked {
		c[ready[i%picks]] <- message
		i++
	}
}

// timeout receives a message that is there, with a deadline, and can be
// cancelled: the context that a call would be given is below another. The
// receive alone is counted.
func timeout(operations int, _ *lapTimer) float64 {
	c := make(chan word, queue)
	parent, stop := context.WithCancel(context.Background())
	batches := (operations + queue - 1) / queue
	var message word
	var total time.Duration

	defer stop()
	for ; batches > 0; batches-- {
		for i := 0; i < queue; i++ {
			c <- message
		}
		start := time.Now()
		for i := 0; i < queue; i++ {
			ctx, cancel := context.WithTimeout(parent, time.Hour)
			select {
			case message = <-c:
			case <-ctx.Done():
			}
			cancel()
		}
		total += time.Since(start)
	}
	return float64(total.Nanoseconds()) / float64((operations+queue-1)/queue*queue)
}

// selectNow finds nothing ready: a select with a default for the numbers that
// a select statement is written for, else reflect.Select with one.
func selectNow(channels int) measurement {
	return func(operations int, _ *lapTimer) float64 {
		c := makeChannels(channels, 1)
		cases := []reflect.SelectCase{{Dir: reflect.SelectDefault}}
		for i := range c {
			cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(c[i])})
		}

		start := time.Now()
		for i := 0; i < operations; i++ {
			switch channels {
			case 1:
				select {
				case <-c[0]:
				default:
				}
			case 2:
				select {
				case <-c[0]:
				case <-c[1]:
				default:
				}
			case 8:
				select {
				case <-c[0]:
				case <-c[1]:
				case <-c[2]:
				case <-c[3]:
				case <-c[4]:
				case <-c[5]:
				case <-c[6]:
				case <-c[7]:
				default:
				}
			default:
				reflect.Select(cases)
			}
		}
		return perOperation(start, operations)
	}
}

type question struct {
	text  word
	reply chan word
}

// request carries the channel that its answer goes to.
func request(capacity int) measurement {
	return func(operations int, _ *lapTimer) float64 {
		questions := make(chan question, capacity)

		go func() {
			for q := range questions {
				q.reply <- q.text
			}
		}()
		start := time.Now()
		for i := 0; i < operations; i++ {
			q := question{reply: make(chan word, capacity)}
			questions <- q
			<-q.reply
		}
		value := perOperation(start, operations)
		close(questions)
		return value
	}
}

// broadcast sends a message to each receiver's own channel.
func broadcast(receivers int) measurement {
	return func(operations int, _ *lapTimer) float64 {
		c := makeChannels(receivers, queue)
		t := team{gate: make(chan struct{})}
		next := make(chan chan word, receivers)

		for _, channel := range c {
			next <- channel
		}
		t.add(receivers, func() { receiveAll(<-next, operations) })
		t.ready.Wait()
		var message word
		start := time.Now()
		close(t.gate)
		for i := 0; i < operations; i++ {
			for _, channel := range c {
				channel <- message
			}
		}
		t.done.Wait()
		return perOperation(start, operations)
	}
}

func makeChannel(operations int, _ *lapTimer) float64 {
	start := time.Now()
	for i := 0; i < operations; i++ {
		close(escape(make(chan word, 1)))
	}
	return perOperation(start, operations)
}

//go:noinline
func escape(c chan word) chan word { return c }

type key struct{ level int }

// valueGet asks a context for the value that one so many levels above it has.
func valueGet(depth int) measurement {
	return func(operations int, _ *lapTimer) float64 {
		ctx := context.WithValue(context.Background(), key{0}, "value")
		for i := 1; i <= depth; i++ {
			ctx = context.WithValue(ctx, key{i}, "value")
		}
		start := time.Now()
		for i := 0; i < operations; i++ {
			if ctx.Value(key{0}) == nil {
				panic("no value")
			}
		}
		return perOperation(start, operations)
	}
}

// cancelAll takes the time from a cancel until all who waited have returned.
func cancelAll(waiters int) measurement {
	return func(operations int, _ *lapTimer) float64 {
		var total time.Duration
		for i := 0; i < operations; i++ {
			total += cancelOnce(waiters)
		}
		return float64(total.Nanoseconds()) / float64(operations)
	}
}

func cancelOnce(waiters int) time.Duration {
	ctx, cancel := context.WithCancel(context.Background())
	var ready, done sync.WaitGroup

	ready.Add(waiters)
	done.Add(waiters)
	for i := 0; i < waiters; i++ {
		go func() {
			ready.Done()
			<-ctx.Done()
			done.Done()
		}()
	}
	ready.Wait()
	time.Sleep(100 * time.Microsecond) // the last of them are asleep, too
	start := time.Now()
	cancel()
	done.Wait()
	return time.Since(start)
}

func groupNew(operations int, _ *lapTimer) float64 {
	start := time.Now()
	for i := 0; i < operations; i++ {
		_, cancel := context.WithCancel(context.Background())
		cancel()
	}
	return perOperation(start, operations)
}

func joinLeave(operations int, _ *lapTimer) float64 {
	var group sync.WaitGroup

	start := time.Now()
	for i := 0; i < operations; i++ {
		group.Add(1)
		group.Done()
	}
	return perOperation(start, operations)
}

// sized has the works whose messages are of several sizes, for one of them.
type sized struct {
	size     int
	pair     measurement
	pingpong func(capacity int, locked bool) measurement
	stream   func(capacity, senders, receivers int) measurement
}

func of[T any](size int) sized {
	return sized{size, pair[T], pingpong[T], stream[T]}
}

type bench struct {
	rounds          float64
	across, latency bool
}

func (b *bench) sizes() []sized {
	if b.across {
		return []sized{of[[64]byte](64)}
	}
	return []sized{of[[0]byte](0), of[[8]byte](8), of[[64]byte](64), of[[512]byte](512),
		of[[4096]byte](4096), of[[]byte](largest)}
}

func (b *bench) shapes() [][2]int {
	return [][2]int{{1, 1}, {4, 1}, {1, 4}, {16, 1}, {1, 16}, {4, 4}, {16, 16}}
}

func (b *bench) widths() []int {
	return []int{1, 2, 8, 64, 512}
}

// row is one line of output: what was measured, and about how many
// instructions an operation costs.
type row struct {
	work, peer string
	size       int
	n          string
	cost       int
}

func (r row) print(unit string, value float64) {
	fmt.Printf("%s,%s,%d,%s,%s,%.1f\n", r.work, r.peer, r.size, r.n, unit, value)
}

func (b *bench) operations(r row) int {
	return 1 + int(b.rounds*budget/float64(r.cost))
}

// measure runs a tenth first, so that what is there only once is there.
func (b *bench) measure(r row, run measurement) {
	operations := b.operations(r)
	run(1+operations/10, nil)
	r.print("ns", run(operations, nil))
}

func (b *bench) measureLatency(r row, run measurement) {
	b.measure(r, run)
	if !b.latency {
		return
	}
	laps := newLapTimer(b.operations(r))
	run(cap(laps.ns), laps)
	sort.Slice(laps.ns, func(i, j int) bool { return laps.ns[i] < laps.ns[j] })
	r.print("p50", laps.perMille(500))
	r.print("p99", laps.perMille(990))
	r.print("p999", laps.perMille(999))
}

func (b *bench) pairs() {
	for _, s := range b.sizes() {
		b.measureLatency(row{"pair", "go", s.size, "1", 400 + s.size/4}, s.pair)
	}
}

func (b *bench) pingpongs() {
	for _, s := range b.sizes() {
		for capacity := 0; capacity <= 1; capacity++ {
			n := fmt.Sprint(capacity)
			b.measureLatency(row{"pingpong_thread", "go", s.size, n, 2000 + s.size/4}, s.pingpong(capacity, false))
			b.measureLatency(row{"pingpong_thread", "go-threads", s.size, n, 28000 + s.size/4}, s.pingpong(capacity, true))
		}
	}
}

func (b *bench) streams() {
	for _, s := range b.sizes() {
		for _, shape := range b.shapes() {
			n := fmt.Sprintf("%d:%d", shape[0], shape[1])
			b.measure(row{"stream", "go", s.size, n, 400 + s.size/4}, s.stream(queue, shape[0], shape[1]))
		}
	}
	if b.across {
		return
	}
	for _, n := range []int{0, 1, 4, 16, 64, 256, 1024} {
		b.measure(row{"stream_capacity", "go", 64, fmt.Sprint(n), 600}, stream[word](n, 1, 1))
	}
}

func (b *bench) broadcasts() {
	for _, n := range []int{4, 16} {
		b.measure(row{"broadcast", "go", 64, fmt.Sprint(n), 500 * n}, broadcast(n))
	}
}

func (b *bench) requests() {
	for n := 0; n < 2; n++ {
		b.measure(row{"request_thread", "go", 64, fmt.Sprint(n), 2500}, request(n))
	}
}

func (b *bench) selects() {
	for _, n := range b.widths() {
		width, cost := fmt.Sprint(n), 200+400*n
		b.measure(row{"select_first", "go", 64, width, cost}, selectReady(n, first))
		b.measure(row{"select_last", "go", 64, width, cost}, selectReady(n, last))
		b.measure(row{"select_random", "go", 64, width, cost}, selectReady(n, random()))
		b.measure(row{"select_now", "go", 64, width, 50 + 200*n}, selectNow(n))
		b.measure(row{"select_block_thread", "go", 64, width, 1500 + cost}, selectBlock(n))
	}
}

func (b *bench) timeouts() {
	b.measure(row{"timeout", "go", 64, "1", 5000}, timeout)
}

func (b *bench) cancels() {
	for _, n := range []int{1, 100, 1000, 10000} {
		b.measure(row{"cancel_all", "go", 0, fmt.Sprint(n), 100000 + 1000*n}, cancelAll(n))
	}
}

func (b *bench) groups() {
	b.measure(row{"group_new", "go", 0, "1", 1000}, groupNew)
	b.measure(row{"join_leave", "go", 0, "1", 60}, joinLeave)
	b.measure(row{"make", "go", 0, "1", 300}, makeChannel)
	for _, n := range []int{1, 64, 4000} {
		b.measure(row{"value_get", "go", 5, fmt.Sprint(n), 20 + 10*n}, valueGet(n))
	}
}

func main() {
	var b bench
	flag.Float64Var(&b.rounds, "rounds", 1, "multiplies the number of operations")
	flag.BoolVar(&b.across, "across", false, "only what wakes across processors, of 64 bytes")
	flag.BoolVar(&b.latency, "latency", false, "also the latencies of pair and pingpong")
	flag.Parse()
	if flag.NArg() > 0 || !(b.rounds > 0) {
		flag.Usage()
		os.Exit(2)
	}

	works := []struct {
		name   string
		across bool
		run    func()
	}{
		{"pair", false, b.pairs}, {"pingpong", true, b.pingpongs}, {"stream", true, b.streams},
		{"broadcast", false, b.broadcasts}, {"select", false, b.selects}, {"timeout", false, b.timeouts},
		{"request", false, b.requests}, {"cancel", false, b.cancels}, {"group", false, b.groups},
	}
	for _, work := range works {
		if work.across || !b.across {
			fmt.Fprintln(os.Stderr, "go:", work.name)
			work.run()
		}
	}
}
