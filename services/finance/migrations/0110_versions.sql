-- migrate:up
call versioned('payout', 'partner_payouts', 'versioned', 'id');
