package main

import (
	"encoding/binary"
	"math/bits"
)

// BLAKE3 with an output of 32 bytes, plain or keyed, as its specification has it.

const (
	chunkBytes = 1024
	chunkStart = 1 << 0
	chunkEnd   = 1 << 1
	parent     = 1 << 2
	root       = 1 << 3
	keyed      = 1 << 4
)

var initial = [8]uint32{
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
}

var permutation = [16]int{2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8}

// output is a node of BLAKE3's tree before it is decided whether it is the root.
type output struct {
	chaining [8]uint32
	block    [16]uint32
	counter  uint64
	length   uint32
	flags    uint32
}

func (o output) compress(flags uint32) [8]uint32 {
	v := [16]uint32{8: initial[0], 9: initial[1], 10: initial[2], 11: initial[3]}
	copy(v[:8], o.chaining[:])
	v[12], v[13], v[14], v[15] = uint32(o.counter), uint32(o.counter>>32), o.length, o.flags|flags
	m := o.block
	mix := func(a, b, c, d int, x, y uint32) {
		v[a] += v[b] + x
		v[d] = bits.RotateLeft32(v[d]^v[a], -16)
		v[c] += v[d]
		v[b] = bits.RotateLeft32(v[b]^v[c], -12)
		v[a] += v[b] + y
		v[d] = bits.RotateLeft32(v[d]^v[a], -8)
		v[c] += v[d]
		v[b] = bits.RotateLeft32(v[b]^v[c], -7)
	}
	for round := 0; round < 7; round++ {
		for i := 0; i < 4; i++ {
			mix(i, 4+i, 8+i, 12+i, m[2*i], m[2*i+1])
		}
		for i := 0; i < 4; i++ {
			mix(i, 4+(i+1)%4, 8+(i+2)%4, 12+(i+3)%4, m[8+2*i], m[9+2*i])
		}
		var permuted [16]uint32
		for i, from := range permutation {
			permuted[i] = m[from]
		}
		m = permuted
	}
	var result [8]uint32
	for i := range result {
		result[i] = v[i] ^ v[i+8]
	}
	return result
}

func tree(key [8]uint32, flags uint32, data []byte, counter uint64) output {
	if len(data) <= chunkBytes {
		return chunk(key, flags, data, counter)
	}
	// The left side is the largest power of two of chunks that leaves something on the right.
	left := chunkBytes
	for 2*left < len(data) {
		left *= 2
	}
	node := output{chaining: key, length: 64, flags: flags | parent}
	first := tree(key, flags, data[:left], counter).compress(0)
	second := tree(key, flags, data[left:], counter+uint64(left/chunkBytes)).compress(0)
	copy(node.block[:8], first[:])
	copy(node.block[8:], second[:])
	return node
}

func chunk(key [8]uint32, flags uint32, data []byte, counter uint64) output {
	node := output{chaining: key, counter: counter, flags: flags | chunkStart}
	for {
		taken := len(data)
		if taken > 64 {
			taken = 64
		}
		var block [64]byte
		copy(block[:], data[:taken])
		for i := range node.block {
			node.block[i] = binary.LittleEndian.Uint32(block[4*i:])
		}
		node.length = uint32(taken)
		if data = data[taken:]; len(data) == 0 {
			node.flags |= chunkEnd
			return node
		}
		node.chaining, node.flags = node.compress(0), flags
	}
}

func digest(key [8]uint32, flags uint32, data []byte) [32]byte {
	var sum [32]byte
	for i, word := range tree(key, flags, data, 0).compress(root) {
		binary.LittleEndian.PutUint32(sum[4*i:], word)
	}
	return sum
}

func blake3(data []byte) [32]byte {
	return digest(initial, 0, data)
}

// blake3Keyed hashes with a key of 32 bytes.
func blake3Keyed(key string, data []byte) [32]byte {
	var words [8]uint32
	for i := range words {
		words[i] = binary.LittleEndian.Uint32([]byte(key)[4*i:])
	}
	return digest(words, keyed, data)
}
