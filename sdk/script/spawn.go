package script

import (
	"errors"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// spawner is the one thread that forks. The kernel sends the parent-death
// signal when the *thread* that forked ends, and the runtime ends threads as
// it sees fit, so a script started from any goroutine could be killed at any
// moment. This goroutine keeps its thread until close.
//
// One thread is also enough: forking is serialized by the runtime anyway.
type spawner struct {
	jobs    chan *job
	closing chan struct{}
	done    chan struct{}
	closed  sync.Once
}

type job struct {
	path  string
	args  []string
	attr  *syscall.ProcAttr
	pid   int
	err   error
	ended chan struct{}
}

func newSpawner() *spawner {
	s := &spawner{jobs: make(chan *job), closing: make(chan struct{}), done: make(chan struct{})}
	started := make(chan struct{})
	go s.serve(started)
	<-started
	return s
}

// serve forks until close.
func (s *spawner) serve(started chan struct{}) {
	// Never unlocked: the thread ends with the goroutine.
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// But not the first thread of a process, which the runtime keeps. Another
		// goroutine gets another thread, as this one is held until it has it.
		go s.serve(started)
		<-started
		runtime.UnlockOSThread()
		return
	}
	close(started)
	defer close(s.done)
	for {
		select {
		case j := <-s.jobs:
			j.pid, j.err = syscall.ForkExec(j.path, j.args, j.attr)
			close(j.ended)
		case <-s.closing:
			return
		}
	}
}

func (s *spawner) run(j *job) error {
	j.ended = make(chan struct{})
	select {
	case s.jobs <- j:
		<-j.ended
		return j.err
	case <-s.done:
		return os.ErrClosed
	}
}

// close ends the thread, and with it every script that is still there.
func (s *spawner) close() {
	s.closed.Do(func() { close(s.closing) })
	<-s.done
}

// start forks and executes c.
func (r *Runner) start(c Command) (*child, error) {
	if len(c.Args) == 0 {
		return nil, &StartError{Path: "nothing", Err: unix.EINVAL}
	}
	path := c.Args[0]
	r.once.Do(r.prepare)
	if r.err != nil {
		return nil, &StartError{Path: path, Err: r.err}
	}
	out, write, err := newOutput()
	if err != nil {
		return nil, &StartError{Path: path, Err: err}
	}
	pidfd := -1
	null := r.null.Fd()
	j := &job{path: path, args: c.Args, attr: &syscall.ProcAttr{
		Dir:   "/",
		Env:   c.Env,
		Files: []uintptr{null, uintptr(write), uintptr(write)}, //nolint:gosec // A descriptor fits.
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, PidFD: &pidfd},
	}}
	err = r.spawner.run(j)
	_ = unix.Close(write)
	if err != nil {
		out.close()
		return nil, &StartError{Path: path, Err: err}
	}
	child := &child{pid: j.pid, output: out, kill: r.kill}
	if err := child.watch(pidfd); err != nil {
		child.abandon()
		out.close()
		return nil, &StartError{Path: path, Err: err}
	}
	go out.read()
	return child, nil
}

// hear makes scripts find nothing ignored. What halo's own starter ignores, as
// nohup and a shell's background do, would be ignored in all that runs below;
// what a process catches, execution resets. Nobody listens: to this process the
// signals are still nothing.
func hear() {
	for _, s := range []os.Signal{unix.SIGHUP, unix.SIGINT} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
}

// closeOnExec keeps what this process has inherited from its scripts. What Go
// opens itself is marked already, and the standard streams are replaced.
func closeOnExec() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil || fd < 3 {
			continue
		}
		// The descriptor that lists the directory is closed by now.
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil && !errors.Is(err, unix.EBADF) { //nolint:gosec // As above.
			return err
		}
	}
	return nil
}
