package main

import "unsafe"

//go:wasmimport env proxy_set_buffer_bytes
func proxySetBufferBytes(buffer, start, length int32, data unsafe.Pointer, size int32) int32

//go:wasmimport env proxy_close_stream
func proxyCloseStream(kind int32) int32

func splice(start, length int, insert string) int {
	return int(proxySetBufferBytes(0, int32(start), int32(length), unsafe.Pointer(unsafe.StringData(insert)), int32(len(insert))))
}

func closeStream(kind int) int { return int(proxyCloseStream(int32(kind))) }
