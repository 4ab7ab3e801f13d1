package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/config"
)

// realtimePriority is the lowest there is: that is above everything ordinary,
// and below whatever else on this machine is meant to be in time.
const realtimePriority = 1

// hasten makes the kernel prefer this process to all ordinary ones, and keeps it
// in memory, so that an advertisement goes out on time on a machine that is busy
// with other things. Nothing that is started from here inherits it: the thread
// that starts plugins takes it off itself. An error says what could not be done;
// without a wish for it in the configuration that is nothing to worry about.
func hasten(g *config.Generation, logger *slog.Logger) error {
	if g.Global.Realtime != nil && !*g.Global.Realtime {
		return nil
	}
	err := errors.Join(schedule(), lockMemory())
	switch {
	case err == nil:
		logger.Debug("scheduled in real time, and locked in memory")
	case g.Global.Realtime == nil:
		logger.Info("not scheduled in real time, or not locked in memory", "reason", err)
		return nil
	}
	return err
}

// schedule gives every thread of this process a real-time policy. Threads that
// are started later inherit it from those that start them.
func schedule() error {
	attributes := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: realtimePriority}
	done := map[int]bool{}
	for {
		// One that was started in the meantime shows in the next list.
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("real-time scheduling: %w", err)
		}
		found := false
		for _, entry := range entries {
			thread, err := strconv.Atoi(entry.Name())
			if err != nil || done[thread] {
				continue
			}
			if err := unix.SchedSetAttr(thread, &attributes, 0); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("real-time scheduling: %w; add LimitRTPRIO=%d to the systemd unit, "+
					"grant CAP_SYS_NICE, or set realtime = false in [global]", err, realtimePriority)
			}
			done[thread], found = true, true
		}
		if !found {
			// Nobody else needs the right to it any more, plugins least of all.
			_ = unix.Setrlimit(unix.RLIMIT_RTPRIO, &unix.Rlimit{})
			return nil
		}
	}
}

// lockMemory keeps every page that has been used in memory. It needs to be
// without limit: the runtime reserves far more than it uses, which counts.
func lockMemory() error {
	effective, err := effectiveCapabilities()
	if err != nil {
		return err
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return fmt.Errorf("lock memory: %w", err)
	}
	if limit.Cur != unix.RLIM_INFINITY && effective&(1<<unix.CAP_IPC_LOCK) == 0 {
		return errors.New("lock memory: the limit is too low; add LimitMEMLOCK=infinity to the systemd unit, " +
			"grant CAP_IPC_LOCK, or set realtime = false in [global]")
	}
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		return fmt.Errorf("lock memory: %w", err)
	}
	return nil
}
