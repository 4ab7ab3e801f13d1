package pluginhost

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"time"
)

// Limits on what is read from a plugin's stdout and stderr. A plugin that
// writes faster than outputRate is read no faster: it waits for its own pipe,
// and the daemon spends no processor on it.
const (
	longestLine = 4 << 10
	outputRate  = 1 << 20 // bytes a second
	outputBurst = 4 << 20 // bytes
)

// readLines calls line for every line of r, without its end, until r ends. A
// line is cut at longestLine bytes; what is behind the cut is read and thrown
// away, so that a plugin that never ends a line neither grows the daemon nor
// blocks. The slice is valid during the call only.
func readLines(r io.Reader, line func(text []byte, cut bool)) {
	reader := bufio.NewReaderSize(&paced{r: r}, longestLine)
	for {
		text, err := reader.ReadSlice('\n')
		if len(text) > 0 {
			line(bytes.TrimSuffix(text, []byte{'\n'}), errors.Is(err, bufio.ErrBufferFull))
		}
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = reader.ReadSlice('\n')
		}
		if err != nil {
			return
		}
	}
}

// paced reads from r at outputRate, after a first outputBurst.
type paced struct {
	r      io.Reader
	tokens float64
	last   time.Time
}

func (p *paced) Read(b []byte) (int, error) {
	now := time.Now()
	if p.last.IsZero() {
		p.tokens = outputBurst
	} else {
		p.tokens = min(outputBurst, p.tokens+outputRate*now.Sub(p.last).Seconds())
	}
	p.last = now
	if p.tokens < 0 {
		time.Sleep(time.Duration(-p.tokens / outputRate * float64(time.Second)))
	}
	n, err := p.r.Read(b)
	p.tokens -= float64(n)
	return n, err
}
