package pluginhost

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// killSession kills what is left of the session that a dead plugin led:
// scripts run in process groups of their own, and must not outlive the plugin
// that would have ended them. The leader must not have been reaped, so that
// the session's number is still its own. A process that left the session on
// purpose is not found.
//
// Two passes catch a process that forked while the first was looking.
func killSession(leader int) {
	for range 2 {
		found := false
		for _, pid := range sessionMembers(leader) {
			if pid != leader {
				found = true
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
		if !found {
			return
		}
	}
}

// sessionMembers lists the living processes of a session.
func sessionMembers(leader int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var members []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		// The second field is the command in parentheses and may hold
		// anything, so count from its last parenthesis: state, parent, group,
		// session.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 4 || fields[0][0] == 'Z' || fields[0][0] == 'X' {
			continue
		}
		if session, err := strconv.Atoi(string(fields[3])); err == nil && session == leader {
			members = append(members, pid)
		}
	}
	return members
}
