<resource schema="sdss_dr17" resdir="sdss_dr17">
  <meta name="creationDate">2026-01-01T00:00:00Z</meta>
  <meta name="title">Loopback tables in the shape of SDSS DR17's</meta>
  <meta name="description">Real SDSS and BOSS spectra: redshifts, lines and fibre magnitudes of the
    pipeline; total magnitudes are made up. Served only for tests.</meta>
  <meta name="subject">redshifted</meta>
  <meta name="creator">SDSS Collaboration</meta>
  <meta name="contentLevel">Research</meta>
  <meta name="type">Catalog</meta>
  <meta name="coverage.waveband">Optical</meta>

  <table id="specobj" onDisk="True" adql="True" primary="specobjid" mixin="//scs#q3cindex">
    <meta name="description">One row per spectrum.</meta>
    <column name="specobjid" type="bigint" ucd="meta.id;meta.main" required="True"
      description="Identifier of the spectrum"/>
    <column name="plate" type="integer" ucd="meta.id;instr.plate" required="True"
      description="Plate"/>
    <column name="mjd" type="integer" unit="d" ucd="time.epoch" required="True"
      description="Modified Julian date of the observation"/>
    <column name="fiberid" type="integer" ucd="meta.id;instr" required="True"
      description="Fibre"/>
    <column name="ra" type="double precision" unit="deg" ucd="pos.eq.ra;meta.main"
      description="Right ascension of the fibre, ICRS"/>
    <column name="dec" type="double precision" unit="deg" ucd="pos.eq.dec;meta.main"
      description="Declination of the fibre, ICRS"/>
    <column name="z" type="real" ucd="src.redshift" description="Redshift"/>
    <column name="zerr" type="real" ucd="stat.error;src.redshift"
      description="1-sigma error of the redshift"/>
    <column name="zwarning" type="integer" ucd="meta.code.qual" required="True"
      description="Bits of what is wrong with the redshift; 0 is good"/>
    <column name="class" type="text" ucd="src.class" description="GALAXY, QSO or STAR"/>
    <column name="subclass" type="text" ucd="src.class" description="Subclass"/>
    <column name="snmedian" type="real" ucd="stat.snr"
      description="Median signal to noise of a pixel"/>
  </table>

  <table id="photoplate" onDisk="True" adql="True" primary="specobjid">
    <meta name="description">Photometry of the objects with spectra.</meta>
    <column name="specobjid" type="bigint" ucd="meta.id;meta.main" required="True"
      description="Identifier of the spectrum"/>
    <LOOP listItems="u g r i z">
      <events>
        <column name="fibermag_\item" type="real" unit="mag" ucd="phot.mag;em.opt"
          description="AB magnitude of the spectrum in \item (light in the fibre)"/>
        <column name="fibermagerr_\item" type="real" unit="mag" ucd="stat.error;phot.mag;em.opt"
          description="1-sigma error of fibermag_\item"/>
        <column name="cmodelmag_\item" type="real" unit="mag" ucd="phot.mag;em.opt"
          description="AB magnitude of the whole object in \item"/>
        <column name="cmodelmagerr_\item" type="real" unit="mag" ucd="stat.error;phot.mag;em.opt"
          description="1-sigma error of cmodelmag_\item"/>
        <column name="extinction_\item" type="real" unit="mag" ucd="phys.absorption;em.opt"
          description="Extinction by the Milky Way in \item"/>
      </events>
    </LOOP>
  </table>

  <table id="emission" onDisk="True" adql="True" primary="specobjid,line">
    <meta name="description">Emission lines, one row per line and spectrum.</meta>
    <column name="specobjid" type="bigint" ucd="meta.id" required="True"
      description="Identifier of the spectrum"/>
    <column name="line" type="text" ucd="meta.id;spect.line" required="True"
      description="Name of the line"/>
    <column name="wave_vac" type="double precision" unit="Angstrom" ucd="em.wl"
      description="Vacuum wavelength at rest"/>
    <column name="line_z" type="real" ucd="src.redshift" description="Redshift of the line"/>
    <column name="line_flux" type="real" unit="10**-17erg.s**-1.cm**-2" ucd="phot.flux;spect.line"
      description="Flux"/>
    <column name="line_flux_err" type="real" unit="10**-17erg.s**-1.cm**-2"
      ucd="stat.error;phot.flux;spect.line"
      description="1-sigma error of line_flux; not positive where there is no measurement"/>
    <column name="ew" type="real" unit="Angstrom" ucd="spect.line.eqWidth"
      description="Equivalent width, observed frame"/>
    <column name="ew_err" type="real" unit="Angstrom" ucd="stat.error;spect.line.eqWidth"
      description="1-sigma error of ew; not positive where there is no measurement"/>
    <column name="sigma_kms" type="real" unit="km/s" ucd="spect.line.width"
      description="Velocity dispersion"/>
  </table>

  <STREAM id="rows">
    <make table="\table">
      <script type="preIndex" lang="python" name="fill the table" notify="False">
        import make_spectra
        make_spectra.fill(table)
      </script>
    </make>
  </STREAM>
  <data id="import">
    <FEED source="rows" table="specobj"/>
    <FEED source="rows" table="photoplate"/>
    <FEED source="rows" table="emission"/>
  </data>
</resource>
