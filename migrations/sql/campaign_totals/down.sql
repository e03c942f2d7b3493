CREATE INDEX ix_participant_totals_campaign ON participant_totals (merchant_id, campaign_id, hour);
DROP INDEX ix_participant_totals_of_campaign;
