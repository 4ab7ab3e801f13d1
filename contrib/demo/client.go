package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The client asks this often, whether or not the requests before are answered,
// and waits this long for an answer. A TCP segment that is lost is sent again
// after a second at the latest, so patience outlasts a short blackout.
const (
	askEvery = 20 * time.Millisecond
	patience = 4 * time.Second
)

// answer is what became of one request.
type answer struct {
	asked, ended time.Time
	server       string // who answered, "" if nobody did
	failure      string // why nobody did
}

// client asks the target for ever, from each of its addresses in turn, and
// prints one line per request: when it was asked, when it ended, who answered
// or why not.
func client(ctx context.Context, args []string, out io.Writer) error {
	if len(args) < 2 {
		return errors.New("client: want a target and addresses to ask from")
	}
	target, sources := args[0], args[1:]
	var printing sync.Mutex
	ticks := time.NewTicker(askEvery)
	defer ticks.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
		}
		go func() {
			result := ask(ctx, target, sources[i%len(sources)])
			printing.Lock()
			defer printing.Unlock()
			fmt.Fprintln(out, result)
		}()
	}
}

// ask makes one request on a connection of its own.
func ask(ctx context.Context, target, source string) answer {
	asked := time.Now()
	server, err := fetch(ctx, target, source)
	result := answer{asked: asked, ended: time.Now(), server: server}
	if err != nil {
		result.failure = err.Error()
	}
	return result
}

func fetch(ctx context.Context, target, source string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
	connection, err := dialer.DialContext(ctx, "tcp4", target)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	deadline, _ := ctx.Deadline()
	if err := connection.SetDeadline(deadline); err != nil {
		return "", err
	}
	if _, err := io.WriteString(connection, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return "", err
	}
	response, err := io.ReadAll(connection)
	if err != nil {
		return "", err
	}
	_, body, found := strings.Cut(string(response), "\r\n\r\n")
	if !found || !strings.HasPrefix(string(response), "HTTP/1.0 200 ") {
		return "", fmt.Errorf("%d bytes that are no answer", len(response))
	}
	return strings.TrimSpace(body), nil
}

func (a answer) String() string {
	return fmt.Sprintf("%d %d %q %q", a.asked.UnixNano(), a.ended.UnixNano(), a.server, a.failure)
}

func parseAnswer(line string) (answer, error) {
	var asked, ended int64
	var result answer
	if _, err := fmt.Sscanf(line, "%d %d %q %q", &asked, &ended, &result.server, &result.failure); err != nil {
		return answer{}, fmt.Errorf("read the client's line %s: %w", strconv.Quote(line), err)
	}
	result.asked, result.ended = time.Unix(0, asked), time.Unix(0, ended)
	return result, nil
}

// diary collects what the client prints.
type diary struct {
	mutex   sync.Mutex
	answers []answer
}

// read keeps the diary until the client ends.
func (d *diary) read(in io.Reader) {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if one, err := parseAnswer(lines.Text()); err == nil {
			d.mutex.Lock()
			d.answers = append(d.answers, one)
			d.mutex.Unlock()
		}
	}
}

// account is what the client met with in a span of time.
type account struct {
	span     time.Duration
	answered map[string]int // by server
	failed   []answer
	late     int // answered, but only after the span in which TCP does not send again
	// blackout is the longest time between two answers.
	blackout time.Duration
}

// lateAfter is less than TCP's first retransmission of a connection's first
// segment (RFC 6298 section 2: one second).
const lateAfter = 900 * time.Millisecond

// during accounts for the requests asked in the span. Requests still on their
// way are in no account yet: see settled.
func (d *diary) during(from, to time.Time) account {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	sum := account{span: to.Sub(from), answered: map[string]int{}}
	var ends []time.Time
	for _, one := range d.answers {
		if one.failure == "" && !one.ended.Before(from) && !one.ended.After(to) {
			ends = append(ends, one.ended)
		}
		if one.asked.Before(from) || one.asked.After(to) {
			continue
		}
		if one.failure != "" {
			sum.failed = append(sum.failed, one)
			continue
		}
		sum.answered[one.server]++
		if one.ended.Sub(one.asked) > lateAfter {
			sum.late++
		}
	}
	slices.SortFunc(ends, time.Time.Compare)
	for i := 1; i < len(ends); i++ {
		sum.blackout = max(sum.blackout, ends[i].Sub(ends[i-1]))
	}
	slices.SortFunc(sum.failed, func(a, b answer) int { return cmp.Compare(a.asked.UnixNano(), b.asked.UnixNano()) })
	return sum
}

// ended counts the requests that were answered after a moment.
func (d *diary) ended(after time.Time) int {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	count := 0
	for _, one := range d.answers {
		if one.failure == "" && one.asked.After(after) {
			count++
		}
	}
	return count
}

// total is the number of requests answered.
func (a account) total() int {
	sum := 0
	for _, count := range a.answered {
		sum += count
	}
	return sum
}

// requests is how many have ended, one way or the other.
func (a account) requests() int { return a.total() + len(a.failed) }

// String says it in words: "120 requests, all answered: 58 by web1, 62 by web2".
func (a account) String() string {
	parts := make([]string, 0, len(a.answered))
	for _, server := range slices.Sorted(maps.Keys(a.answered)) {
		parts = append(parts, fmt.Sprintf("%d by %s", a.answered[server], server))
	}
	all := fmt.Sprintf("%d requests, ", a.requests())
	switch {
	case a.total() == 0:
		return all + "none answered"
	case len(a.failed) == 0:
		return all + "all answered: " + strings.Join(parts, ", ")
	default:
		return all + fmt.Sprintf("%d failed; answered: ", len(a.failed)) + strings.Join(parts, ", ")
	}
}
