package main

import (
	"encoding/binary"
	"errors"
)

// The few messages of the contract that are needed here, by field number. A program that uses more of it generates its
// code from proto/ instead.

type message []byte

func (m message) number(field int, value uint64) message {
	if value == 0 {
		return m
	}
	return binary.AppendUvarint(binary.AppendUvarint(m, uint64(field)<<3), value)
}

func (m message) bytes(field int, value []byte) message {
	m = binary.AppendUvarint(m, uint64(field)<<3|2)
	return append(binary.AppendUvarint(m, uint64(len(value))), value...)
}

func (m message) text(field int, value string) message {
	return m.bytes(field, []byte(value))
}

// fields are a message's values by field number, in their order.
type fields struct {
	numbers map[int]uint64
	values  map[int][][]byte
}

func (f fields) value(field int) []byte {
	if all := f.values[field]; len(all) > 0 {
		return all[len(all)-1]
	}
	return nil
}

func readMessage(data []byte) (fields, error) {
	found := fields{map[int]uint64{}, map[int][][]byte{}}
	bad := errors.New("expected a protobuf message, found other bytes")
	for len(data) > 0 {
		key, taken := binary.Uvarint(data)
		if taken <= 0 {
			return found, bad
		}
		value, more := binary.Uvarint(data[taken:])
		if more <= 0 {
			return found, bad
		}
		data = data[taken+more:]
		switch key & 7 {
		case 0:
			found.numbers[int(key>>3)] = value
		case 2:
			if value > uint64(len(data)) {
				return found, bad
			}
			found.values[int(key>>3)] = append(found.values[int(key>>3)], data[:value])
			data = data[value:]
		default:
			return found, bad
		}
	}
	return found, nil
}
