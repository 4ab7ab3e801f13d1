package guest

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// heartbeatInterval is how often process 1 says that the guest is alive.
const heartbeatInterval = time.Second

// Init is process 1 of the guest. It prepares the machine, runs the program,
// reports over the data port and stops the machine; it does not return.
func Init() {
	port, err := openDataPort()
	if err != nil {
		fmt.Fprintln(os.Stderr, "guest: open data port:", err)
		powerOff()
	}
	frames := &frameWriter{out: port}
	code, err := initialise(frames)
	if err != nil {
		_ = frames.send(frameTrouble, []byte(err.Error()))
	} else {
		_ = frames.send(frameExit, binary.BigEndian.AppendUint32(nil, uint32(code)))
	}
	powerOff()
}

// powerOff lets the last bytes leave the port and ends the machine. The host
// usually is quicker: it kills QEMU when it has read the last frame.
func powerOff() {
	unix.Sync()
	time.Sleep(time.Second)
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	select {}
}

func initialise(frames *frameWriter) (int, error) {
	for _, step := range []func() error{mountAll, linkDescriptors, raiseLoopback} {
		if err := step(); err != nil {
			return 0, err
		}
	}
	content, err := os.ReadFile(jobPath)
	if err != nil {
		return 0, err
	}
	var todo job
	if err := json.Unmarshal(content, &todo); err != nil {
		return 0, fmt.Errorf("read %s: %w", jobPath, err)
	}
	if err := seedRandom(todo.Seed); err != nil {
		return 0, err
	}
	for _, path := range todo.Modules {
		if err := loadModule(path); err != nil {
			return 0, err
		}
	}
	if err := frames.send(frameBooted, nil); err != nil {
		return 0, err
	}
	go func() {
		for range time.Tick(heartbeatInterval) {
			_ = frames.send(frameHeartbeat, nil)
		}
	}()
	code, err := execute(todo, frames)
	if err != nil {
		return 0, err
	}
	for _, path := range todo.Collect {
		if err := sendFile(frames, path); err != nil {
			return 0, err
		}
	}
	return code, nil
}

// openDataPort opens the second serial port with all of the terminal's
// processing off: what is written arrives as it is.
func openDataPort() (*os.File, error) {
	if err := mountOne("devtmpfs", "/dev", "devtmpfs", ""); err != nil {
		return nil, err
	}
	port, err := os.OpenFile("/dev/ttyS1", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	settings := unix.Termios{Cflag: unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B115200}
	settings.Cc[unix.VMIN] = 1
	if err := unix.IoctlSetTermios(int(port.Fd()), unix.TCSETS, &settings); err != nil {
		return nil, err
	}
	return port, nil
}

func mountAll() error {
	for _, entry := range []struct{ source, target, kind, options string }{
		{"proc", "/proc", "proc", ""},
		{"sysfs", "/sys", "sysfs", ""},
		{"devpts", "/dev/pts", "devpts", "ptmxmode=666"},
		{"tmpfs", "/dev/shm", "tmpfs", "mode=1777"},
		{"tmpfs", "/run", "tmpfs", "mode=755"},
		{"cgroup2", "/sys/fs/cgroup", "cgroup2", ""},
	} {
		if err := mountOne(entry.source, entry.target, entry.kind, entry.options); err != nil {
			return err
		}
	}
	return nil
}

func mountOne(source, target, kind, options string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, target, kind, 0, options); err != nil {
		return fmt.Errorf("mount %s on %s: %w", source, target, err)
	}
	return nil
}

func linkDescriptors() error {
	for name, target := range map[string]string{
		"/dev/fd": "/proc/self/fd", "/dev/stdin": "/proc/self/fd/0",
		"/dev/stdout": "/proc/self/fd/1", "/dev/stderr": "/proc/self/fd/2",
	} {
		if err := os.Symlink(target, name); err != nil {
			return err
		}
	}
	return unix.Sethostname([]byte("guest"))
}

// raiseLoopback sets the flag by ioctl: it needs no netlink.
func raiseLoopback() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	defer func() { _ = unix.Close(socket) }()
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return nil
}

// seedRandom gives the kernel random bytes and says that they count:
// struct rand_pool_info of random(4) is the count in bits, the size and the bytes.
func seedRandom(seed []byte) error {
	device, err := os.OpenFile("/dev/urandom", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer device.Close()
	const bitsPerByte = 8
	information := binary.NativeEndian.AppendUint32(nil, uint32(bitsPerByte*len(seed)))
	information = binary.NativeEndian.AppendUint32(information, uint32(len(seed)))
	information = append(information, seed...)
	if err := ioctlPointer(device, unix.RNDADDENTROPY, information); err != nil {
		return fmt.Errorf("seed the random number generator: %w", err)
	}
	return nil
}

func loadModule(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	err = unix.FinitModule(int(file.Fd()), "", 0)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("load kernel module %s: %w", path, err)
	}
	return nil
}

// execute runs the program, streams its output and answers its exit code.
// When it has ended, whatever it left running is killed: the guest is its own.
func execute(todo job, frames *frameWriter) (int, error) {
	path, err := findProgram(todo.Args[0])
	if err != nil {
		return 0, err
	}
	if err := os.Chdir(todo.Dir); err != nil {
		return 0, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	var copying sync.WaitGroup
	files := []*os.File{null}
	for _, kind := range []frameKind{frameStdout, frameStderr} {
		reader, writer, err := os.Pipe()
		if err != nil {
			return 0, err
		}
		files = append(files, writer)
		copying.Go(func() { _, _ = io.Copy(frames.stream(kind), reader) })
	}
	// Without a Wait of its own: reap is the only one that waits for children.
	process, err := os.StartProcess(path, todo.Args, &os.ProcAttr{
		Dir: todo.Dir, Env: environment(todo), Files: files,
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", path, err)
	}
	for _, file := range files {
		_ = file.Close()
	}
	status, err := reap(process.Pid)
	if err != nil {
		return 0, err
	}
	_ = unix.Kill(-1, unix.SIGKILL) // every process but this one
	copying.Wait()
	if status.Signaled() {
		const signalBase = 128
		return signalBase + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}

// reap waits for all children and orphans until the one that matters ends.
func reap(pid int) (unix.WaitStatus, error) {
	for {
		var status unix.WaitStatus
		ended, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, fmt.Errorf("wait for process %d: %w", pid, err)
		case ended == pid:
			return status, nil
		}
	}
}

const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func findProgram(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	if err := os.Setenv("PATH", searchPath); err != nil {
		return "", err
	}
	return exec.LookPath(name)
}

func environment(todo job) []string {
	return append([]string{
		"PATH=" + searchPath, "HOME=/root", "USER=root", "TMPDIR=/tmp", "TERM=dumb", "LC_ALL=C",
		"PWD=" + todo.Dir, "HALO_GUEST=1",
	}, todo.Env...)
}

// sendFile sends one collected file. One that the program did not make is not
// an error: whoever asked for it will miss it.
func sendFile(frames *frameWriter, path string) error {
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for {
		piece := content[:min(len(content), maxPayload/2)]
		if err := frames.send(frameFile, joinFile(path, piece)); err != nil {
			return err
		}
		content = content[len(piece):]
		if len(content) == 0 {
			return nil
		}
	}
}
