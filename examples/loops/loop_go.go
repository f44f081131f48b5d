// SPDX-License-Identifier: MIT

// A channel's ends in Go's netpoller: os.NewFile takes a descriptor that does not
// block, and Read and Write of a goroutine then wait in the runtime's epoll, with
// deadlines. One goroutine sends, another receives.
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// struct kchan_make
type chanMake struct {
	msgMax   uint64
	capacity uint32
	flags    uint32
	reserved [2]uint32
	end      [2]int32
}

const iocMake = 3<<30 | uintptr(unsafe.Sizeof(chanMake{}))<<16 | 0xC8<<8 | 1

func newChan(msgMax uint64, capacity uint32) (rx, tx *os.File, err error) {
	dev, err := os.OpenFile("/dev/kchan", os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	defer dev.Close()
	m := chanMake{msgMax: msgMax, capacity: capacity}
	_, _, e := syscall.Syscall(syscall.SYS_IOCTL, dev.Fd(), iocMake, uintptr(unsafe.Pointer(&m)))
	if e != 0 {
		return nil, nil, e
	}
	for _, fd := range m.end {
		if err := syscall.SetNonblock(int(fd), true); err != nil {
			return nil, nil, err
		}
	}
	return os.NewFile(uintptr(m.end[0]), "rx"), os.NewFile(uintptr(m.end[1]), "tx"), nil
}

func main() {
	rx, tx, err := newChan(8, 4)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	if err := rx.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		fmt.Println("no deadline:", err)
		os.Exit(1)
	}
	var buf [8]byte
	_, err = rx.Read(buf[:])
	fmt.Println("an empty channel with a deadline:", errors.Is(err, os.ErrDeadlineExceeded))
	rx.SetReadDeadline(time.Time{})

	go func() {
		var word [8]byte
		for n := uint64(1); n <= 50; n++ {
			binary.LittleEndian.PutUint64(word[:], n*n)
			if _, err := tx.Write(word[:]); err != nil {
				fmt.Println("write:", err)
			}
		}
		tx.Close()
	}()
	sum, count := uint64(0), 0
	for {
		_, err := rx.Read(buf[:])
		if err == io.EOF {
			break
		}
		if err != nil {
			fmt.Println("read:", err)
			os.Exit(1)
		}
		sum += binary.LittleEndian.Uint64(buf[:])
		count++
	}
	fmt.Printf("%d squares, their sum is %d\n", count, sum)
}
