package guest

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ioctlPointer passes a structure of bytes to a device. The unix package has no
// function for the one request that is needed.
func ioctlPointer(device *os.File, request uint, argument []byte) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, device.Fd(), uintptr(request), uintptr(unsafe.Pointer(&argument[0])))
	if errno != 0 {
		return errno
	}
	return nil
}
