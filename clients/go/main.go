// Pays on a development network and verifies the receipt by its own code, with Go's standard library alone:
//
//	go run . NETWORK        the folder that `cbdc up` has made
//
// docs/reference/wire.md is all that it was written from, with proto/ for the numbers of fields.
package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

type wallet struct {
	key     ed25519.PrivateKey
	account uint64
}

func main() {
	folder := "network"
	if len(os.Args) > 1 {
		folder = os.Args[1]
	}
	if err := run(folder); err != nil {
		fmt.Fprintln(os.Stderr, "pay:", err)
		os.Exit(1)
	}
}

func run(folder string) error {
	data, err := os.ReadFile(filepath.Join(folder, "genesis.bin"))
	if err != nil {
		return err
	}
	g, err := parseGenesis(data)
	if err != nil {
		return err
	}
	alice, err := openWallet(folder, "alice")
	if err != nil {
		return err
	}
	bob, err := openWallet(folder, "bob")
	if err != nil {
		return err
	}
	number := uint16(alice.account >> 32)
	address, err := setting(filepath.Join(folder, fmt.Sprintf("bank-%d", number), "config.toml"), "listen")
	if err != nil {
		return err
	}
	b, err := connect(g, number, address)
	if err != nil {
		return err
	}
	token, err := b.session(g, alice)
	if err != nil {
		return err
	}
	state, _, err := b.call("GetWallet", message{}.text(1, accountText(alice.account)), token)
	if err != nil {
		return err
	}

	record := payment(alice.account, bob.account, 1250, state.numbers[7], g)
	signed := append(record, ed25519.Sign(alice.key, append(prefix("CBDCcmd", g.networkID), record...))...)
	outcome, err := submit(b, signed)
	if err != nil {
		return err
	}
	if outcome.numbers[1] != 1 {
		return fmt.Errorf("refused: %s: %s", outcome.value(2), outcome.value(3))
	}
	height, index := outcome.numbers[7], outcome.numbers[8]
	fmt.Printf("settled at %d:%d\n", height, index)

	position := message{}.number(1, height).number(2, index)
	_, kept, err := b.call("GetReceipt", message{}.bytes(1, position), token)
	if err != nil {
		return err
	}
	verified, err := verifyReceipt(g, kept)
	if err != nil {
		return err
	}
	if verified.height != height || uint64(verified.index) != index || !bytes.Equal(verified.command, signed) {
		return errors.New("the receipt is of another command")
	}
	fmt.Printf("verified: 1250 paid to %s\n", accountText(bob.account))
	return nil
}

// submit sends the same record until its outcome is known, which is safe.
func submit(b bank, signed []byte) (fields, error) {
	field := func(at int) uint64 { return binary.LittleEndian.Uint64(signed[at:]) }
	sent := message{}.number(1, uint64(signed[1])).text(2, accountText(field(24))).text(3, accountText(field(32)))
	sent = sent.number(4, field(40)).number(5, field(48)).number(6, field(8))
	sent = sent.number(7, uint64(binary.LittleEndian.Uint32(signed[4:]))).number(8, field(16))
	sent = sent.bytes(9, signed[56:72]).bytes(10, signed[72:])
	var answer fields
	var err error
	for attempt := 0; attempt < 10; attempt++ {
		if answer, _, err = b.call("SubmitTransfer", message{}.bytes(1, sent), ""); err == nil {
			return readMessage(answer.value(2))
		}
		time.Sleep(200 * time.Millisecond)
	}
	return answer, fmt.Errorf("not known; submit the same record again: %w", err)
}

// payment is a transfer of 72 bytes.
func payment(from, to, amount, sequence uint64, g genesis) []byte {
	ahead := g.validityMsMax - 60_000
	if ahead > 3_600_000 {
		ahead = 3_600_000
	}
	record := binary.LittleEndian.AppendUint32([]byte{1, 1, 0, 0}, 0)
	for _, field := range []uint64{sequence, uint64(time.Now().UnixMilli()) + ahead, from, to, amount, 0} {
		record = binary.LittleEndian.AppendUint64(record, field)
	}
	return append(record, make([]byte, 16)...)
}

// accountText is an account in IBAN form: ISO 7064 MOD 97-10 over the number, XC as 3312, and 00.
func accountText(account uint64) string {
	number := fmt.Sprintf("%05d%010d", account>>32, account&0xffff_ffff)
	whole, _ := new(big.Int).SetString(number+"331200", 10)
	return fmt.Sprintf("XC%02d%s", 98-new(big.Int).Mod(whole, big.NewInt(97)).Int64(), number)
}

func openWallet(folder, name string) (wallet, error) {
	path := filepath.Join(folder, "wallets", name)
	text, err := os.ReadFile(path + ".key")
	if err != nil {
		return wallet{}, err
	}
	seed, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(seed) != ed25519.SeedSize {
		return wallet{}, fmt.Errorf("expected 64 hexadecimal digits in %s.key", path)
	}
	account, err := setting(path+".toml", "account")
	if err != nil {
		return wallet{}, err
	}
	bank, err := strconv.ParseUint(account[4:9], 10, 16)
	if err != nil {
		return wallet{}, err
	}
	serial, err := strconv.ParseUint(account[9:], 10, 32)
	return wallet{ed25519.NewKeyFromSeed(seed), bank<<32 | serial}, err
}

// setting is a key of a TOML file whose value is a text.
func setting(path, key string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	found := regexp.MustCompile(`(?m)^` + key + ` *= *"([^"]+)"`).FindSubmatch(text)
	if found == nil {
		return "", fmt.Errorf("expected the key %s in %s, found none", key, path)
	}
	return string(found[1]), nil
}
