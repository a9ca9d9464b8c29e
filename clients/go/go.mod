module cbdc.example/pay

go 1.19
