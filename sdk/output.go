package sdk

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// output turns what a plugin prints into log lines. Standard output carries
// go-plugin's handshake, one line, after which a stray print would confuse the
// host and a long one would block it; what goes to os.Stderr is not in the
// log's form.
//
// Descriptor 1 becomes a pipe that is logged, and os.Stdout a private copy of
// the true standard output, on which go-plugin prints the handshake. go-plugin
// then puts pipes of its own behind os.Stdout and os.Stderr; the first call of
// the host puts ours back. Descriptor 2 stays what it is: the log and the last
// words of a crash go there.
type output struct {
	stdout, stderr *os.File // the ends to write to
	handshake      *os.File // the true standard output
	settled        sync.Once
}

func takeOutput(log *slog.Logger) (*output, error) {
	stdout, err := loggedPipe(log, "stdout")
	if err != nil {
		return nil, err
	}
	stderr, err := loggedPipe(log, "stderr")
	if err != nil {
		return nil, err
	}
	// No child may hold the true standard output: the host waits for its end
	// of file before it believes that the plugin is dead.
	private, err := unix.FcntlInt(1, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	if err := unix.Dup3(int(stdout.Fd()), 1, 0); err != nil { //nolint:gosec // A descriptor fits.
		return nil, os.NewSyscallError("dup3", err)
	}
	os.Stdout = os.NewFile(uintptr(private), "handshake") //nolint:gosec // As above.
	return &output{stdout: stdout, stderr: stderr, handshake: os.Stdout}, nil
}

// settle puts our pipes behind os.Stdout and os.Stderr. It runs before the
// first call is handled, and so before any Checker does. The host that calls
// has read the handshake, so nobody has a use for the true standard output.
func (o *output) settle() {
	o.settled.Do(func() {
		os.Stdout, os.Stderr = o.stdout, o.stderr
		_ = o.handshake.Close()
	})
}

// loggedPipe returns the end to write to of a pipe whose lines are logged. That
// end blocks, as a standard output does; only the end that is read is ours to
// wait on.
func loggedPipe(log *slog.Logger, name string) (*os.File, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	read := os.NewFile(uintptr(fds[0]), name+" of the plugin") //nolint:gosec // A descriptor fits.
	go logLines(read, log.With("stream", name))
	return os.NewFile(uintptr(fds[1]), name), nil //nolint:gosec // As above.
}

// logLines reads for ever: a pipe that is not read would block who prints.
func logLines(from io.Reader, log *slog.Logger) {
	const longest = 4096
	reader := bufio.NewReaderSize(from, longest)
	for {
		line, err := reader.ReadSlice('\n')
		if text := strings.TrimSpace(string(line)); text != "" {
			log.Log(context.Background(), slog.LevelInfo, "the plugin printed", "text", text)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}
