package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// service is the wallets' service in the contract.
const service = "cbdc.v1.Bank"

// bank is a connection to a bank that has the node key in genesis.
type bank struct {
	address string
	client  *http.Client
}

func connect(g genesis, number uint16, address string) (bank, error) {
	m, err := g.member(roleBank, number)
	if err != nil {
		return bank{}, err
	}
	config := &tls.Config{
		MinVersion: tls.VersionTLS13,
		// No authority is asked: the node's key is compared with genesis, and the handshake proves that it has it.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			if m.nodeKey == nil || !isPinned(state.PeerCertificates[0], m.nodeKey) {
				return fmt.Errorf("%s has not the key that genesis names", address)
			}
			return nil
		},
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	return bank{address, &http.Client{Transport: transport, Timeout: 10 * time.Second}}, nil
}

func isPinned(certificate *x509.Certificate, nodeKey []byte) bool {
	info := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
	key, isEd25519 := certificate.PublicKey.(ed25519.PublicKey)
	return bytes.Equal(info[:], nodeKey) || isEd25519 && bytes.Equal(key, nodeKey)
}

// call makes one gRPC call: a frame of one byte, the length and the message, over HTTP/2.
func (b bank) call(method string, request message, token string) (fields, []byte, error) {
	frame := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(request)))
	path := fmt.Sprintf("https://%s/%s/%s", b.address, service, method)
	post, err := http.NewRequest(http.MethodPost, path, bytes.NewReader(append(frame, request...)))
	if err != nil {
		return fields{}, nil, err
	}
	post.Header.Set("content-type", "application/grpc")
	post.Header.Set("te", "trailers")
	if token != "" {
		post.Header.Set("authorization", "Bearer "+token)
	}
	answer, err := b.client.Do(post)
	if err != nil {
		return fields{}, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 32<<20))
	if err != nil {
		return fields{}, nil, err
	}
	// A call that is answered with a status alone has it among the headers.
	status := answer.Trailer
	if answer.Header.Get("grpc-status") != "" {
		status = answer.Header
	}
	if code := status.Get("grpc-status"); code != "0" {
		// The text is percent-encoded; one that is not is shown as it is.
		text := status.Get("grpc-message")
		if decoded, err := url.PathUnescape(text); err == nil {
			text = decoded
		}
		return fields{}, nil, fmt.Errorf("%s: status %s: %s", method, code, text)
	}
	if len(body) < 5 || body[0] != 0 || uint64(binary.BigEndian.Uint32(body[1:])) != uint64(len(body)-5) {
		return fields{}, nil, errors.New("expected one uncompressed message, found something else")
	}
	found, err := readMessage(body[5:])
	return found, body[5:], err
}

// session opens a session of the wallet with its bank, and returns the token.
func (b bank) session(g genesis, w wallet) (string, error) {
	given, _, err := b.call("BeginSession", nil, "")
	if err != nil {
		return "", err
	}
	statement := binary.LittleEndian.AppendUint16([]byte{1, 0}, uint16(w.account>>32))
	statement = binary.LittleEndian.AppendUint32(statement, 0)
	statement = binary.LittleEndian.AppendUint64(statement, w.account)
	statement = binary.LittleEndian.AppendUint64(statement, given.numbers[2])
	statement = append(statement, given.value(1)...)
	signature := ed25519.Sign(w.key, append(prefix("CBDCses", g.networkID), statement...))
	opened, _, err := b.call("OpenSession", message{}.bytes(1, append(statement, signature...)), "")
	return string(opened.value(1)), err
}
