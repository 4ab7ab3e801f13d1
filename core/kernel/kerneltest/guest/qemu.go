package guest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// kernelArguments: no delay after a panic (QEMU then ends, because of
// -no-reboot), no mitigations (there is nobody to be protected from), quick
// grace periods (namespaces go away in milliseconds), and the time-stamp counter as
// the clock, which the emulator answers eight times faster than a timer device.
const kernelArguments = "console=ttyS0 quiet panic=-1 oops=panic mitigations=off audit=0 rcupdate.rcu_expedited=1 random.trust_cpu=on tsc=reliable"

// tailLines is how much of the console an error shows.
const tailLines = 100

// boot runs QEMU until the guest says that the program ended.
//
//	console (ttyS0) ─> QEMU's stdout ─> tail, Config.Console
//	frames  (ttyS1) ─> socket pair   ─> watch: Config.Stdout, Stderr, files, exit code
func boot(ctx context.Context, kernel, initrd string, config Config) (int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	limit := time.AfterFunc(config.Limit, func() {
		cancel(fmt.Errorf("the program did not end within %v", config.Limit))
	})
	defer limit.Stop()

	ours, theirs, err := socketPair()
	if err != nil {
		return 0, fmt.Errorf("run guest: %w", err)
	}
	defer ours.Close()
	console := &tail{copy: config.Console}
	machine := exec.Command("qemu-system-x86_64", arguments(kernel, initrd, config)...) //nolint:noctx // killed below, after its last words are read
	machine.Stdout, machine.Stderr = console, console
	machine.ExtraFiles = []*os.File{theirs}
	machine.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	ended := make(chan struct{})
	started := make(chan error)
	go func() {
		// The parent-death signal is tied to the thread that forked. The thread
		// ends with this goroutine, and so does its priority, which QEMU
		// inherits: on a busy machine the guest's clock runs on while its
		// processors wait. Without the privilege it goes without.
		runtime.LockOSThread()
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, guestNice)
		err := machine.Start()
		_ = theirs.Close()
		started <- err
		if err == nil {
			_ = machine.Wait() // how it ended says less than what it said
			close(ended)
		}
	}()
	if err := <-started; err != nil {
		return 0, fmt.Errorf("run guest: start qemu-system-x86_64: %w", err)
	}

	status := make(chan watched, 1)
	go func() {
		code, err := watch(ours, config, cancel)
		status <- watched{code, err}
	}()
	var result watched
	select {
	case result = <-status:
	case <-ctx.Done():
		result = watched{err: context.Cause(ctx)}
	}
	if result.err != nil {
		// A panic closes the data port before its last lines are out.
		select {
		case <-ended:
		case <-time.After(lastWords):
			_ = machine.Process.Kill()
			<-ended
		}
		return 0, fmt.Errorf("%w: %w\n%s", ErrGuest, result.err, console)
	}
	_ = machine.Process.Kill()
	<-ended
	return result.code, nil
}

// guestNice is the scheduling priority of QEMU (setpriority(2)).
const guestNice = -10

// lastWords is how long QEMU may go on after the guest's failure was noticed.
const lastWords = 500 * time.Millisecond

type watched struct {
	code int
	err  error
}

func arguments(kernel, initrd string, config Config) []string {
	accelerator, processor := "tcg,thread=multi", "max"
	if config.KVM {
		accelerator, processor = "kvm", "host"
	}
	return []string{
		"-accel", accelerator, "-cpu", processor,
		"-machine", "pc", "-smp", "2", "-m", strconv.Itoa(config.Memory),
		"-nodefaults", "-no-user-config", "-display", "none", "-nic", "none", "-no-reboot",
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
		"-chardev", "socket,id=data,fd=3", "-serial", "chardev:data",
		"-kernel", kernel, "-initrd", initrd, "-append", kernelArguments,
	}
}

// watch reads the guest's frames. Silence, before the boot and after it, is
// reported through cancel, because a read cannot be told to wait less.
func watch(in io.Reader, config Config, cancel context.CancelCauseFunc) (int, error) {
	silence := time.AfterFunc(config.BootLimit, func() {
		cancel(fmt.Errorf("did not boot within %v", config.BootLimit))
	})
	defer func() { silence.Stop() }()
	collected := collector{config.Collect, map[string]bool{}}
	for booted := false; ; {
		kind, payload, err := readFrame(in)
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET):
			return 0, errors.New("the machine stopped before the program ended")
		case err != nil:
			return 0, err
		case booted:
			silence.Reset(config.HeartbeatLimit)
		}
		switch kind {
		case frameBooted:
			booted = true
			silence.Stop()
			silence = time.AfterFunc(config.HeartbeatLimit, func() {
				cancel(fmt.Errorf("hangs: no sign of life for %v", config.HeartbeatLimit))
			})
		case frameHeartbeat:
		case frameStdout:
			_, err = config.Stdout.Write(payload)
		case frameStderr:
			_, err = config.Stderr.Write(payload)
		case frameFile:
			err = collected.add(payload)
		case frameTrouble:
			err = errors.New(string(payload))
		case frameExit:
			return int(binary.BigEndian.Uint32(payload)), nil
		default:
			err = fmt.Errorf("read frame: unknown kind %q", kind)
		}
		if err != nil {
			return 0, err
		}
	}
}

// collector writes the files that come back. The guest names only what it was
// asked for; anything else is refused.
type collector struct {
	places map[string]string
	begun  map[string]bool
}

func (c collector) add(payload []byte) error {
	name, content, err := splitFile(payload)
	if err != nil {
		return err
	}
	place, asked := c.places[name]
	if !asked {
		return fmt.Errorf("collect %s: it was not asked for", name)
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_APPEND
	if !c.begun[name] {
		flags |= os.O_TRUNC
		c.begun[name] = true
		if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
			return fmt.Errorf("collect %s: %w", name, err)
		}
	}
	file, err := os.OpenFile(place, flags, 0o644)
	if err != nil {
		return fmt.Errorf("collect %s: %w", name, err)
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Close())
}

// tail keeps the last lines of the console.
type tail struct {
	mutex sync.Mutex
	copy  io.Writer
	kept  []byte
}

func (t *tail) Write(data []byte) (int, error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	const enough = 64 << 10
	t.kept = append(t.kept, data...)
	if extra := len(t.kept) - enough; extra > 0 {
		t.kept = append(t.kept[:0], t.kept[extra:]...)
	}
	_, _ = t.copy.Write(data) // a full console must not stop the machine
	return len(data), nil
}

func (t *tail) String() string {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	text := strings.TrimSpace(string(bytes.ReplaceAll(t.kept, []byte("\r"), nil)))
	if text == "" {
		return "(the console said nothing)"
	}
	lines := strings.Split(text, "\n")
	if extra := len(lines) - tailLines; extra > 0 {
		lines = lines[extra:]
	}
	return "the console's last lines:\n    " + strings.Join(lines, "\n    ")
}

// socketPair makes the two ends of the data port, ours fit for Go's poller.
func socketPair() (ours, theirs *os.File, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make data port: %w", err)
	}
	if err := unix.SetNonblock(pair[0], true); err != nil {
		return nil, nil, fmt.Errorf("make data port: %w", err)
	}
	return os.NewFile(uintptr(pair[0]), "guest"), os.NewFile(uintptr(pair[1]), "qemu"), nil
}
