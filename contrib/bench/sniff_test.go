package bench

import (
	"os"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// etherLength is how much of a frame stands before its IP or ARP packet.
const etherLength = 14

// sniff hands every frame of a protocol (unix.ETH_P_*) that crosses a switch, with
// the kernel's time, to found, on a goroutine that ends with the test. The frame is
// found's until it returns.
func sniff(t *testing.T, n *lab.Network, protocol uint16, found func(at time.Time, frame []byte)) {
	t.Helper()
	var file *os.File
	if err := n.Do(func() error {
		network := protocol>>8 | protocol<<8
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(network))
		if err != nil {
			return err
		}
		file = os.NewFile(uintptr(fd), "capture")
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
			return err
		}
		// Room for what comes while the machine is busy with what is measured.
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: network, Ifindex: n.Index("switch")})
	}); err != nil {
		t.Fatalf("capture on the switch: %v", err)
	}
	t.Cleanup(func() { _ = file.Close() })
	conn, err := file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		buf, oob := make([]byte, 2048), make([]byte, 128)
		for {
			var size, oobSize int
			var readErr error
			if err := conn.Read(func(fd uintptr) bool {
				size, oobSize, _, _, readErr = unix.Recvmsg(int(fd), buf, oob, 0)
				return readErr != unix.EAGAIN
			}); err != nil || readErr != nil {
				return
			}
			found(stamp(oob[:oobSize]), buf[:size])
		}
	}()
}

// stamp is the kernel's time of a frame.
func stamp(oob []byte) time.Time {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return time.Time{}
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS {
			ts := (*unix.Timespec)(unsafe.Pointer(&m.Data[0]))
			return time.Unix(ts.Unix())
		}
	}
	return time.Time{}
}
