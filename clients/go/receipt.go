package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	leafKey = "cbdc ledger v1: leaf of a block."
	nodeKey = "cbdc ledger v1: node of a block."

	roleCentralBank = 1
	roleBank        = 4
)

var lengths = map[byte]int{
	1: 136, 2: 136, 3: 136, 4: 144, 5: 112, 6: 112, 7: 240, 17: 96, 20: 96, 21: 112, 22: 288, 23: 280, 24: 184,
	25: 184, 32: 200, 33: 200, 34: 104, 35: 112, 36: 112, 37: 112, 38: 112, 39: 112, 40: 112, 41: 112, 42: 112,
	43: 112, 44: 112, 45: 112, 46: 104, 47: 112, 48: 128, 49: 128, 50: 144, 51: 112, 64: 0, 65: 104,
}

type member struct {
	role       byte
	id         uint16
	signingKey []byte
	nodeKey    []byte // nil without one
}

type genesis struct {
	networkID        [32]byte
	headerSignatures int
	validityMsMax    uint64
	members          []member
}

func parseGenesis(data []byte) (g genesis, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("expected a genesis, found bytes that end too soon")
		}
	}()
	if data[0] != 1 && data[0] != 2 {
		return g, fmt.Errorf("expected a genesis of version 1 or 2, found version %d", data[0])
	}
	g.networkID = blake3(data)
	g.validityMsMax = binary.LittleEndian.Uint64(data[16:])
	g.headerSignatures = int(binary.LittleEndian.Uint16(data[24:]))
	at, nodes := 32, 0
	for left := binary.LittleEndian.Uint32(data[28:]); left > 0; left-- {
		m := member{role: data[at], id: binary.LittleEndian.Uint16(data[at+1:])}
		name := int(data[at+3])
		if m.role < 1 || m.role > 7 || name < 1 || name > 64 {
			return g, errors.New("expected a member with a known role and a name of 1 to 64 bytes")
		}
		at += 4 + name
		m.signingKey = data[at : at+32]
		if data[at+32] == 1 {
			m.nodeKey = data[at+33 : at+65]
		}
		_ = data[at+64]
		at += 65
		if m.role == roleCentralBank {
			nodes++
		}
		g.members = append(g.members, m)
	}
	if g.headerSignatures < 1 || g.headerSignatures > nodes {
		return g, fmt.Errorf("expected 1 to %d header signatures, found %d", nodes, g.headerSignatures)
	}
	return g, nil
}

func (g genesis) member(role byte, id uint16) (member, error) {
	for _, m := range g.members {
		if m.role == role && m.id == id {
			return m, nil
		}
	}
	return member{}, fmt.Errorf("expected a member with role %d and number %d in genesis, found none", role, id)
}

// receipt is a verified receipt.
type receipt struct {
	height  uint64
	index   uint32
	reason  uint16 // 0 is settled
	command []byte
}

// verifyReceipt verifies the message cbdc.v1.Receipt with genesis alone, by the steps of docs/reference/wire.md.
func verifyReceipt(g genesis, data []byte) (receipt, error) {
	message, err := readMessage(data)
	if err != nil {
		return receipt{}, err
	}
	signed, err := readMessage(message.value(1))
	if err != nil {
		return receipt{}, err
	}
	header, outcome := signed.value(1), message.value(4)
	found := receipt{index: uint32(message.numbers[2]), command: message.value(3)}
	if len(header) != 400 || header[0] < 1 || header[0] > 2 || len(outcome) != 24 {
		return found, errors.New("expected a header of 400 bytes in version 1 or 2 and an outcome of 24 bytes")
	}
	roots := header[0] == 2 || isZero(header[120:152]) && isZero(header[296:328])
	if !roots || !isZero(header[1:4]) || !isZero(header[188:192]) || !isZero(header[328:]) {
		return found, errors.New("expected zeros in the reserved bytes of the header")
	}
	found.height = binary.LittleEndian.Uint64(header[8:])
	found.reason = binary.LittleEndian.Uint16(outcome)
	count := binary.LittleEndian.Uint32(header[4:])
	top, ok := rootFromPath(leafOf(found.index, found.command, outcome), found.index, count, message.values[5])
	if !ok || !bytes.Equal(top[:], header[56:88]) {
		return found, fmt.Errorf("the path does not lead to the commands root of block %d", found.height)
	}
	signers, err := g.signers(header, signed.values[2])
	if err != nil {
		return found, err
	}
	if signers < g.headerSignatures {
		required := g.headerSignatures
		return found, fmt.Errorf("block %d has %d valid signatures, %d are required", found.height, signers, required)
	}
	if len(found.command) < 2 || found.command[0] != 1 {
		return found, errors.New("expected a command of version 1")
	}
	if length, known := lengths[found.command[1]]; !known || length != 0 && length != len(found.command) {
		return found, errors.New("expected a command of a known kind, with the length of that kind")
	}
	return found, nil
}

func (g genesis) signers(header []byte, signatures [][]byte) (int, error) {
	hash := blake3(header)
	message := append(prefix("CBDChdr", g.networkID), hash[:]...)
	signers := map[uint16]bool{}
	for _, data := range signatures {
		signature, err := readMessage(data)
		if err != nil {
			return 0, err
		}
		node := signature.numbers[1]
		m, err := g.member(roleCentralBank, uint16(node))
		if err == nil && node < 1<<16 && len(signature.value(2)) == 64 &&
			ed25519.Verify(m.signingKey, message, signature.value(2)) {
			signers[m.id] = true
		}
	}
	return len(signers), nil
}

func leafOf(index uint32, command, outcome []byte) [32]byte {
	data := binary.LittleEndian.AppendUint32(nil, index)
	data = binary.LittleEndian.AppendUint32(data, uint32(len(command)))
	data = append(append(data, outcome...), command...)
	return blake3Keyed(leafKey, append(data, make([]byte, (64-len(data)%64)%64)...))
}

func rootFromPath(hash [32]byte, index, count uint32, path [][]byte) ([32]byte, bool) {
	if index >= count {
		return hash, false
	}
	for at, last := index, count-1; last > 0; at, last = at/2, last/2 {
		if at%2 == 0 && at >= last {
			continue
		}
		if len(path) == 0 || len(path[0]) != 32 {
			return hash, false
		}
		pair := append(hash[:], path[0]...)
		if at%2 == 1 {
			pair = append(append([]byte{}, path[0]...), hash[:]...)
		}
		hash, path = blake3Keyed(nodeKey, pair), path[1:]
	}
	return hash, len(path) == 0
}

// prefix is the 40 bytes that precede what is signed.
func prefix(tag string, networkID [32]byte) []byte {
	return append(append([]byte{1}, tag...), networkID[:]...)
}

func isZero(data []byte) bool {
	return bytes.Equal(data, make([]byte, len(data)))
}
