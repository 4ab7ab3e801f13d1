package bfdsock_test

import (
	"fmt"
	"strings"
	"testing"
)

// queue is how many bytes wait to be read on the UDP socket with the local port,
// in the hexadecimal of the kernel's table.
func queue(t *testing.T, table string, port uint16) string {
	t.Helper()
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) > 4 && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) {
			_, waiting, _ := strings.Cut(fields[4], ":")
			return waiting
		}
	}
	t.Fatalf("no socket has port %d:\n%s", port, table)
	return ""
}
