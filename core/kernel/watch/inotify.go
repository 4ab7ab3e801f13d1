package watch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// What directories are watched for.
const (
	// goneMask is when a directory is not where it was any more.
	goneMask = unix.IN_MOVE_SELF | unix.IN_DELETE_SELF
	// entryMask is when an entry appears or becomes accessible, replaceMask
	// also when it goes.
	entryMask   = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_ATTRIB
	replaceMask = entryMask | unix.IN_MOVED_FROM | unix.IN_DELETE
	// contentMask is when a file has been written. Writing itself is not among
	// it: half a number is another number.
	contentMask = replaceMask | unix.IN_CLOSE_WRITE
)

// change is one event of a watched directory.
type change struct {
	wd   int
	mask uint32
	name string // of the entry, empty for the directory itself
}

// inotify is an inotify descriptor and the goroutine that reads it.
type inotify struct {
	file   *os.File
	raw    syscall.RawConn
	c      chan []change
	done   chan struct{}
	reader sync.WaitGroup
}

func openInotify() (*inotify, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("open inotify: %w", err)
	}
	i := &inotify{
		file: os.NewFile(uintptr(fd), "inotify"), c: make(chan []change), done: make(chan struct{}),
	}
	if i.raw, err = i.file.SyscallConn(); err != nil {
		_ = i.file.Close() // The error that counts is the first one.
		return nil, fmt.Errorf("open inotify: %w", err)
	}
	i.reader.Go(i.read)
	return i, nil
}

func (i *inotify) close() {
	close(i.done)
	_ = i.file.Close() // It was only read from.
	i.reader.Wait()
}

// add watches a directory for what it is watched for already, and mask.
func (i *inotify) add(directory string, mask uint32) (wd int, err error) {
	controlErr := i.raw.Control(func(fd uintptr) {
		wd, err = unix.InotifyAddWatch(int(fd), directory, mask|unix.IN_MASK_ADD|unix.IN_ONLYDIR|unix.IN_EXCL_UNLINK)
	})
	if controlErr != nil {
		err = controlErr
	}
	if err != nil {
		return 0, fmt.Errorf("watch %s: %w", directory, err)
	}
	return wd, nil
}

// remove ends a watch. It may have ended by itself, with its directory.
func (i *inotify) remove(wd int) {
	_ = i.raw.Control(func(fd uintptr) {
		_, _ = unix.InotifyRmWatch(int(fd), uint32(wd))
	})
}

// read hands batches over. While nobody takes them the kernel collects, and
// says so when it had to drop some.
func (i *inotify) read() {
	buf := make([]byte, 64<<10)
	for {
		n, err := i.file.Read(buf)
		if err != nil {
			return // Closed.
		}
		select {
		case i.c <- parseChanges(buf[:n]):
		case <-i.done:
			return
		}
	}
}

// parseChanges splits what the kernel wrote, and leaves alone what it cannot
// have written.
func parseChanges(b []byte) []change {
	var list []change
	for len(b) >= unix.SizeofInotifyEvent {
		length := binary.NativeEndian.Uint32(b[12:])
		if uint64(length) > uint64(len(b)-unix.SizeofInotifyEvent) {
			break
		}
		name := b[unix.SizeofInotifyEvent:][:length]
		if end := bytes.IndexByte(name, 0); end >= 0 {
			name = name[:end]
		}
		list = append(list, change{
			wd:   int(int32(binary.NativeEndian.Uint32(b))),
			mask: binary.NativeEndian.Uint32(b[4:]),
			name: string(name),
		})
		b = b[unix.SizeofInotifyEvent+int(length):]
	}
	return list
}
