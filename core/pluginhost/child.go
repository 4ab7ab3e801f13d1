package pluginhost

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// drainOutput is how long the output of a dead process is still read. What it
// wrote last is in the pipe by then; the limit is for a stranger that still
// holds the other end.
const drainOutput = 200 * time.Millisecond

// oomScoreAdjust makes the kernel take a plugin before the daemon when memory
// runs out.
const oomScoreAdjust = 500

// exitedWell is how a process ended that had nothing to complain about.
const exitedWell = "exited with status 0"

// killedBySignal is how one ended that was killed, by whomever.
const killedBySignal = "killed by SIGKILL"

// command is everything a child is started with.
type command struct {
	program *program
	// arguments follow argv[0].
	arguments []string
	// environment is complete: nothing is inherited.
	environment []string
	account     account
	ambient     []uintptr
	// lifeline gives the child a descriptor that reports end-of-file when this
	// process is gone.
	lifeline bool
}

// child is a started process and the only handle on it. It reaps itself: dead
// is closed when the process has ended, every process of its group and session
// has been killed, and its exit status has been collected.
type child struct {
	pid            int
	stdout, stderr *os.File
	dead           chan struct{}

	process  *os.Process
	pidfd    *os.File
	lifeline *os.File

	// guard makes signal and reaping exclude each other, so that no signal can
	// reach a stranger with a recycled process id.
	guard  sync.Mutex
	reaped bool
	killed bool // by this process
	status *os.ProcessState
}

// start forks and executes c on the spawner's thread.
func (s *spawner) start(c command) (*child, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.program.path, err)
	}
	defer closeAll(null)
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.program.path, err)
	}
	defer closeAll(outWrite)
	errRead, errWrite, err := os.Pipe()
	if err != nil {
		closeAll(outRead)
		return nil, fmt.Errorf("start %s: %w", c.program.path, err)
	}
	defer closeAll(errWrite)

	pidfd := -1
	// No context: a child is ended by signals to its whole group, never by one to itself.
	cmd := &exec.Cmd{
		Path:   c.program.executable(),
		Args:   append([]string{c.program.path}, c.arguments...),
		Env:    append([]string{}, c.environment...),
		Dir:    "/",
		Stdin:  null,
		Stdout: outWrite,
		Stderr: errWrite,
		SysProcAttr: &syscall.SysProcAttr{
			// A session of its own is also a process group of its own, and
			// takes the terminal away.
			Setsid:      true,
			Pdeathsig:   syscall.SIGKILL,
			PidFD:       &pidfd,
			AmbientCaps: c.ambient,
		},
	}
	if !c.account.same {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: c.account.uid, Gid: c.account.gid}
	}
	var lifeline *os.File
	if c.lifeline {
		read, write, err := os.Pipe()
		if err != nil {
			closeAll(outRead, errRead)
			return nil, fmt.Errorf("start %s: %w", c.program.path, err)
		}
		defer closeAll(read)
		lifeline = write
		cmd.ExtraFiles = []*os.File{read}
		cmd.Env = append(cmd.Env, lifelineVariable+"="+strconv.Itoa(3))
	}
	if closed := s.do(func() { err = cmd.Start() }); closed != nil {
		err = closed
	}
	if err == nil && pidfd < 0 {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		err = errors.New("the kernel has no pidfd (Linux 5.4 or later is needed)")
	}
	if err != nil {
		closeAll(outRead, errRead, lifeline)
		return nil, fmt.Errorf("start %s as %s: %w", c.program.path, c.account.name, explainExec(err))
	}
	// Non-blocking, so that waiting costs no thread but an entry in the
	// runtime's poller.
	_ = unix.SetNonblock(pidfd, true)
	k := &child{
		pid: cmd.Process.Pid, process: cmd.Process, pidfd: os.NewFile(uintptr(pidfd), "pidfd"),
		stdout: outRead, stderr: errRead, lifeline: lifeline, dead: make(chan struct{}),
	}
	k.offer()
	go k.reap()
	return k, nil
}

// explainExec adds what to do to an error of fork and exec whose text alone
// does not say it.
func explainExec(err error) error {
	// The path in it is that of a descriptor, which says nothing.
	if path, ok := errors.AsType[*os.PathError](err); ok {
		err = fmt.Errorf("execute: %w", path.Err)
	}
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("%w: not a program for this machine's architecture", err)
	case errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("%w: the program's interpreter or loader is missing", err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w: the plugin's user may not execute the file (chmod a+rx), or its file system is mounted noexec", err)
	case errors.Is(err, syscall.EPERM):
		return fmt.Errorf("%w: the daemon may not change the user or grant the capability", err)
	}
	return err
}

// offer makes the child the better victim for the out-of-memory killer. It is
// best effort: containers may forbid it, and without CAP_DAC_OVERRIDE it is
// another user's file. A plugin made with the SDK sees to it itself.
//
// Its scheduling is ordinary: a plugin that is starved on a busy machine would
// take its own lateness for that of the servers.
func (k *child) offer() {
	_ = os.WriteFile("/proc/"+strconv.Itoa(k.pid)+"/oom_score_adj", []byte(strconv.Itoa(oomScoreAdjust)), 0)
}

// reap waits for the end of the process, takes its relatives with it and
// collects its status. Until the last step the dead process keeps its id, so
// its group and its session cannot be anybody else's.
func (k *child) reap() {
	k.awaitEnd()
	k.guard.Lock()
	_ = unix.Kill(-k.pid, unix.SIGKILL)
	killSession(k.pid)
	// The state is nil only when somebody else reaped the child.
	k.status, _ = k.process.Wait()
	k.reaped = true
	k.guard.Unlock()
	closeAll(k.pidfd, k.lifeline)
	deadline := time.Now().Add(drainOutput)
	_ = k.stdout.SetReadDeadline(deadline)
	_ = k.stderr.SetReadDeadline(deadline)
	close(k.dead)
}

// awaitEnd returns when the process has ended. It does not reap.
func (k *child) awaitEnd() {
	raw, err := k.pidfd.SyscallConn()
	if err == nil {
		err = raw.Read(func(fd uintptr) bool {
			var info unix.Siginfo
			err := unix.Waitid(unix.P_PIDFD, int(fd), &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
			return err == nil && info.Signo != 0 || err != nil && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN)
		})
	}
	if err != nil {
		// Without the poller a thread waits.
		for errors.Is(unix.Waitid(unix.P_PID, k.pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
			continue
		}
	}
}

// signal sends sig to the child's process group, unless the child has been
// reaped, when the group is gone already.
func (k *child) signal(sig unix.Signal) {
	k.guard.Lock()
	defer k.guard.Unlock()
	if k.reaped {
		return
	}
	k.killed = k.killed || sig == unix.SIGKILL
	_ = unix.Kill(-k.pid, sig)
}

// byItself reports whether a dead child was not ended by this process, whose
// kill may also hit one that has ended but not been reaped. It may be called
// when dead is closed.
func (k *child) byItself() bool {
	how := k.exit()
	k.guard.Lock()
	defer k.guard.Unlock()
	return !k.killed || how != killedBySignal
}

// release closes the lifeline, on which a plugin ends by itself.
func (k *child) release() {
	k.guard.Lock()
	defer k.guard.Unlock()
	if !k.reaped {
		closeAll(k.lifeline)
	}
}

// exit says in words how the process ended. It may be called when dead is closed.
func (k *child) exit() string {
	k.guard.Lock()
	defer k.guard.Unlock()
	if k.status == nil {
		return "ended, status unknown"
	}
	if status, ok := k.status.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		text := "killed by " + unix.SignalName(status.Signal())
		if status.CoreDump() {
			text += " (core dumped)"
		}
		return text
	}
	if k.status.Success() {
		return exitedWell
	}
	return fmt.Sprintf("exited with status %d", k.status.ExitCode())
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}
